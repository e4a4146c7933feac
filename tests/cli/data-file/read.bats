# SPDX-License-Identifier: MIT
# Images whose data lies in another file, as qemu made them: read and map agree with qemu's tools, and
# the file's name leads nowhere that it should not.

load ../../support/cli

make_external() { # NAME OPTION...
	local name=$1
	shift
	qemu-img create -q -f qcow2 -o "data_file=$name.raw${1:+,$1}" "$name.qcow2" 5000k
	qemu-io -f qcow2 -c "write -P 1 0 100k" -c "write -P 2 1M 4k" -c "write -P 3 4990k 10k" \
		-c "write -z 2M 128k" -c "write -z -u 3M 64k" -c "write -z 1100k 3k" \
		"$name.qcow2" >/dev/null
}

same_as_qemu() { # IMAGE
	succeeds map --output=json "$1"
	diff <(jq -c '.[] | del(.compressed)' <<<"$output") \
		<(qemu-img map --output=json "$1" | jq -c '.[]') || complain "map $1 differs"
	succeeds map "$1"
	prints "$(qemu-img map "$1")"
	succeeds read "$1" -o read.raw
	qemu-img convert -f qcow2 -O raw "$1" convert.raw
	cmp read.raw convert.raw
	rm read.raw convert.raw
}

# The name in the header becomes another one of the same length.
rename_in_header() { # IMAGE OLD NEW
	[[ ${#2} == "${#3}" ]]
	sed -i "s|$2|$3|" "$1"
}

@test "read and map agree with qemu-img for all kinds of data files" {
	for options in "" data_file_raw=on cluster_size=512 cluster_size=2M \
		extended_l2=on,cluster_size=64k extended_l2=on,data_file_raw=on; do
		rm -f ./*
		make_external disk "$options"
		same_as_qemu disk.qcow2
	done
}

@test "a backing file may have a data file, and an image with one a backing file" {
	make_external base
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 -o data_file=top.raw top.qcow2 6M
	qemu-io -f qcow2 -c "write -P 7 96k 8k" -c "write -z 1M 64k" top.qcow2 >/dev/null
	same_as_qemu top.qcow2
}

@test "a relative name is taken from the working directory, as qemu does" {
	mkdir below
	(cd below && make_external disk)
	fails 1 read below/disk.qcow2
	says "data file 'disk.raw'"
	cd below
	same_as_qemu disk.qcow2
}

@test "the policy for references holds for data files" {
	mkdir images
	make_external disk
	mv disk.qcow2 images
	fails 1 read --chain=none images/disk.qcow2
	says "data file 'disk.raw'"
	fails 1 read --chain=dir images/disk.qcow2
	fails 1 map --chain=dir images/disk.qcow2
	succeeds read --chain=any --length=1 images/disk.qcow2
	mv images/disk.qcow2 .
	succeeds read --chain=dir --length=1 disk.qcow2
}

@test "a symbolic link does not lead out of the folder" {
	mkdir images
	make_external disk
	mv disk.raw elsewhere
	mv disk.qcow2 images
	cd images
	ln -s ../elsewhere disk.raw
	succeeds read --length=1 disk.qcow2
	fails 1 read --chain=dir disk.qcow2
	says "data file 'disk.raw'"
}

@test "names with a protocol are never interpreted" {
	qemu-img create -q -f qcow2 -o data_file=nbd____host_____________ disk.qcow2 1M
	for name in 'nbd://host/_____________' 'json:{"driver":"raw","a"' 'fd:3____________________'; do
		cp disk.qcow2 bad.qcow2
		rename_in_header bad.qcow2 nbd____host_____________ "$name"
		unchanged bad.qcow2 fails 1 read bad.qcow2
		says "not a plain file name"
		fails 1 map bad.qcow2
		succeeds info bad.qcow2
		succeeds check bad.qcow2
	done
}

@test "info and check do not open the data file" {
	make_external disk
	rm disk.raw
	mkfifo disk.raw
	succeeds info disk.qcow2
	succeeds check disk.qcow2
	fails 1 read disk.qcow2
	says "neither a regular file nor a block device"
}

@test "an image is not its own data file" {
	qemu-img create -q -f qcow2 -o data_file=disk.qcow_ disk.qcow2 1M
	rename_in_header disk.qcow2 disk.qcow_ disk.qcow2
	fails 1 read disk.qcow2
	says "is the image itself"
}

@test "read does not write over the data file that it reads" {
	make_external disk
	unchanged disk.raw fails 1 read disk.qcow2 -o disk.raw
	says "part of the image"
}

@test "a cluster that leads to another place in the data file is refused" {
	make_external disk
	# In the L2 table the second entry becomes one for the third cluster.
	entries=$(LC_ALL=C grep -obUaP '\x80\x00\x00\x00\x00\x00\x00\x00\x80\x00\x00\x00\x00\x01\x00\x00' disk.qcow2)
	printf '\200\0\0\0\0\2\0\0' |
		dd of=disk.qcow2 bs=1 seek=$((${entries%%:*} + 8)) conv=notrunc status=none
	fails 1 read disk.qcow2 --at 64k
	says "leads to another offset of the data file"
	run ! qemu-io -r -f qcow2 -c "read 64k 4k" disk.qcow2
}

@test "one that is marked corrupt is not read, since its data file may be half written" {
	make_external disk
	printf '\6' | dd of=disk.qcow2 bs=1 seek=79 conv=notrunc status=none
	fails 1 read disk.qcow2
	says "marked corrupt"
	succeeds info disk.qcow2
}

@test "a missing data file is one line" {
	make_external disk
	rm disk.raw
	fails 1 read disk.qcow2
	says "data file 'disk.raw'"
}
