# SPDX-License-Identifier: MIT
# Edits of images whose data lies in another file: qemu's tools see what was asked for, a raw data
# file stays one, and either all of it happens or nothing.

load ../../support/cli

KINDS=("" "data_file_raw=on" "extended_l2=on" "cluster_size=512" "cluster_size=2M"
	"extended_l2=on,data_file_raw=on")

# A disk with all kinds of clusters, and what it holds as a raw file.
make_external() { # OPTIONS
	qemu-img create -q -f qcow2 -o "data_file=data.raw${1:+,$1}" disk.qcow2 5000k
	qemu-io -f qcow2 -c "write -P 1 0 100k" -c "write -P 2 1M 300k" -c "write -z 1100k 64k" \
		-c "write -P 3 4990k 10k" -c "write -z -u 2M 64k" disk.qcow2 >/dev/null
	qemu-img convert -f qcow2 -O raw disk.qcow2 model
}

put_model() { # OFFSET LENGTH CHARACTER
	head -c "$2" /dev/zero | tr '\0' "$3" |
		dd of=model bs=64k oflag=seek_bytes seek="$1" conv=notrunc status=none
}

same_as_model() {
	is_clean disk.qcow2
	qemu-img compare -q -f raw -F qcow2 model disk.qcow2 || complain "qemu-img sees something else"
	"$QCOWTOOL" read disk.qcow2 | cmp - model
	[[ ${1-} != *data_file_raw* ]] || cmp -n "$(stat -c %s model)" data.raw model
}

@test "patches are what qemu-img sees, in data files of all kinds" {
	for options in "${KINDS[@]}"; do
		rm -f ./*
		make_external "$options"
		succeeds write disk.qcow2 --at 10 --text ppppp --at 60k --fill 0x71:100k \
			--at 1M --zero 128k --at 1090k --fill 0x72:5k --at 3M --text sss \
			--at 4M --fill 0x74:400k --at 4100k --discard 200k --at 4999k --fill 0x75:1k
		put_model 10 5 p
		put_model $((60 << 10)) $((100 << 10)) q
		put_model $((1 << 20)) $((128 << 10)) '\0'
		put_model $((1090 << 10)) $((5 << 10)) r
		put_model $((3 << 20)) 3 s
		put_model $((4 << 20)) $((400 << 10)) t
		put_model $((4100 << 10)) $((200 << 10)) '\0'
		put_model $((4999 << 10)) 1024 u
		same_as_model "$options"
	done
}

@test "qemu edits what we edited, and we what qemu edited" {
	for options in "${KINDS[@]}"; do
		rm -f ./*
		make_external "$options"
		for round in {1..4}; do
			succeeds write disk.qcow2 --at $((round * 333))k --fill 0x61:77k --zero 100k
			put_model $((round * 333 << 10)) $((77 << 10)) a
			put_model $(((round * 333 + 77) << 10)) $((100 << 10)) '\0'
			qemu-io -f qcow2 -c "write -P 0x62 $((round * 400))k 99k" \
				-c "write -z $((round * 500))k 70k" disk.qcow2 >/dev/null
			put_model $((round * 400 << 10)) $((99 << 10)) b
			put_model $((round * 500 << 10)) $((70 << 10)) '\0'
			same_as_model "$options"
		done
	done
}

@test "a disk grows with its data file" {
	for options in "${KINDS[@]}"; do
		rm -f ./*
		make_external "$options"
		# What an overlong data file holds past the disk's end must not shine through.
		head -c 1M /dev/urandom | dd of=data.raw bs=64k oflag=seek_bytes seek=5000k \
			conv=notrunc status=none
		succeeds write disk.qcow2 --grow --at 7000k --text z
		truncate -s $((7000 * 1024 + 512)) model
		put_model $((7000 << 10)) 1 z
		same_as_model "$options"
		(($(stat -c %s data.raw) >= $(stat -c %s model)))
	done
}

@test "a raw data file that grew is mapped whole, as qemu makes it" {
	make_external data_file_raw=on
	succeeds write disk.qcow2 --grow --at 7000k --text z
	succeeds map --output=json --start-offset=5056k disk.qcow2
	json 'length == 1 and .[0].data and .[0].offset == 5177344'
}

@test "rebase copies into the data file" {
	qemu-img create -q -f raw base.raw 2M
	qemu-io -f raw -c "write -P 9 100k 200k" base.raw >/dev/null
	qemu-img create -q -f qcow2 -b base.raw -F raw -o data_file=data.raw disk.qcow2 2M
	qemu-io -f qcow2 -c "write -P 8 250k 10k" disk.qcow2 >/dev/null
	qemu-img convert -f qcow2 -O raw disk.qcow2 model
	succeeds rebase -b "" disk.qcow2
	rm base.raw
	same_as_model
	succeeds rebase -u -b none.raw -F raw disk.qcow2
	[[ $(qemu-img info --output=json disk.qcow2 | jq -r '."backing-filename"') == none.raw ]]
}

@test "a raw data file takes no backing file" {
	make_external data_file_raw=on
	qemu-img create -q -f raw base.raw 5000k
	for option in "" -u; do
		# shellcheck disable=SC2086
		unchanged disk.qcow2 fails 1 rebase $option -b base.raw -F raw disk.qcow2
		says "data_file_raw"
	done
}

@test "a dry run changes neither file" {
	for options in "${KINDS[@]}"; do
		rm -f ./*
		make_external "$options"
		chmod a-w data.raw
		unchanged data.raw unchanged disk.qcow2 \
			succeeds write -n disk.qcow2 --fill 1:2M --zero 1M --discard 100k
	done
}

@test "there are no snapshots and no compressed clusters in a data file" {
	make_external ""
	unchanged disk.qcow2 fails 1 snapshot-cow create disk.qcow2 one
	says "no internal snapshots"
	unchanged disk.qcow2 fails 1 write --compress disk.qcow2 --fill 1:64k
	says "no compressed clusters"
	unchanged disk.qcow2 fails 1 decompress disk.qcow2
	says "no compressed clusters"
}

@test "what stands in the way of the data file is one line, and nothing changes" {
	make_external ""
	unchanged disk.qcow2 fails 1 write --chain=none disk.qcow2 --text x
	says "data file 'data.raw'"
	mv data.raw away
	unchanged disk.qcow2 fails 1 write disk.qcow2 --text x
	says "data file 'data.raw'"
	ln -s disk.qcow2 data.raw
	unchanged disk.qcow2 fails 1 write disk.qcow2 --text x
	says "is the image itself"
	rm data.raw
	mkdir data.raw
	unchanged disk.qcow2 fails 1 write disk.qcow2 --text x
	says "neither a regular file nor a block device"
}

@test "a data file that cannot be written is one line" {
	((EUID != 0)) || skip "root can write to any file"
	make_external ""
	chmod a-w data.raw
	unchanged disk.qcow2 fails 1 write disk.qcow2 --text x
	says "data file 'data.raw'"
}

@test "the data file is locked as the image is" {
	make_external ""
	coproc qemu-io -f raw data.raw 2>/dev/null
	local qemu=$COPROC_PID
	# Its prompt says that it has the file open.
	read -r -n 8 -t 20 <&"${COPROC[0]}"
	unchanged disk.qcow2 fails 1 write disk.qcow2 --text x
	says "data file 'data.raw'"
	fails 1 read disk.qcow2
	kill "$qemu"
	wait "$qemu" || true
	succeeds write disk.qcow2 --text x
}

@test "a repair needs no data file, and sets the flags as qemu does" {
	make_external ""
	rm data.raw
	first=$(LC_ALL=C grep -obUaP '\x80\x00\x00\x00\x00\x01\x00\x00' disk.qcow2)
	printf '\0' | dd of=disk.qcow2 bs=1 seek="${first%%:*}" conv=notrunc status=none
	qcowtool check disk.qcow2
	[[ $status == 2 ]]
	qcowtool check -r all disk.qcow2
	[[ $status == 0 ]]
	succeeds check disk.qcow2
}
