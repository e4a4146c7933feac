#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Whatever keeps a write from being done is one clear line, the documented status, and an image that
# is what it was to the last byte.
# shellcheck shell=bash disable=SC2154,SC2030,SC2031,SC2016,SC2001

load ../../support/cli

disk() {
	qemu-img create -q -f qcow2 disk.qcow2 16M
	qemu-io -c 'write -q -P 0x11 0 1M' disk.qcow2
}

# Runs a write that must fail: WORDS on stderr and the image untouched.
refused() { # WORDS ARGUMENT...
	local words=$1
	shift
	unchanged disk.qcow2 fails 1 write disk.qcow2 "${@:---hex=01}"
	says "$words"
}

poke() { # OFFSET HEX
	printf '%b' "$(sed 's/../\\x&/g' <<<"$2")" | dd of=disk.qcow2 bs=1 seek="$1" conv=notrunc status=none
}

@test "a disk that is full" {
	[[ $EUID == 0 ]] || skip "mounting a small file system needs root"
	mkdir small
	mount -t tmpfs -o size=3M tmpfs small 2>/dev/null || skip "no tmpfs can be mounted here"
	qemu-img create -q -f qcow2 small/disk.qcow2 16M
	qemu-io -c 'write -q -P 0x11 0 1M' small/disk.qcow2
	before=$(sha small/disk.qcow2)
	qcowtool write small/disk.qcow2 --fill=0x22:8M
	after=$(sha small/disk.qcow2)
	umount small
	[[ $status == 1 && -z $output && $before == "$after" ]]
	one_error_line write
	says "No space left on device"
}

@test "a file past its limit" {
	disk
	before=$(sha disk.qcow2)
	run --separate-stderr bash -c 'ulimit -f 3000; exec "$QCOWTOOL" write disk.qcow2 --at=2M --fill=0x22:8M'
	[[ $status == 1 && -z $output ]]
	one_error_line write
	says "File too large"
	[[ $(sha disk.qcow2) == "$before" ]]
}

@test "a backing file that is missing" {
	qemu-img create -q -f qcow2 base.qcow2 1M
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 disk.qcow2
	rm base.qcow2
	refused "base.qcow2"
	says "No such file or directory"
}

@test "an image in use" {
	disk
	coproc HOLDER { exec qemu-io disk.qcow2 2>&1; }
	holder=$HOLDER_PID
	echo length >&"${HOLDER[1]}"
	read -r -t 20 _ <&"${HOLDER[0]}"
	before=$(sha disk.qcow2)
	qcowtool write disk.qcow2 --hex=01
	kill "$holder"
	wait "$holder" || :
	[[ $status == 1 && $(sha disk.qcow2) == "$before" ]]
	one_error_line write
	says "lock; is another process using the image?"
}

@test "a patch past the end, even if the others are not" {
	disk
	refused "past the end of the disk" --hex=01 --at=$((16 * 1024 * 1024 - 1)) --hex='01 02'
}

@test "a source that cannot be read, after one that can" {
	disk
	refused "absent: No such file or directory" --hex=01 --file=absent
	mkdir folder
	refused "folder" --hex=01 --file=folder
}

@test "bytes that are not the expected ones" {
	disk
	refused "expected 0x12 at offset 0x0, found 0x11" --expect=12 --hex=01
}

@test "wrong words are status 64" {
	disk
	for words in "" --hex=0 --hex=xy --at=5 --at=-1 --at=5q --fill=1 --fill=300:1 --zero=x --text \
		--frobnicate "--hex=01 other.qcow2"; do
		# shellcheck disable=SC2086
		unchanged disk.qcow2 fails 64 write disk.qcow2 $words
	done
	fails 64 write
}

@test "an image marked corrupt" {
	disk
	poke 79 02
	refused "marked corrupt"
}

@test "an image whose refcounts are wrong" {
	disk
	block=$(dd if=disk.qcow2 bs=1 skip=$((0x10000)) count=8 status=none | od -An -tx1 | tr -d ' \n')
	poke $((16#$block + 2 * 5)) 0000
	refused "qcowtool check"
}

@test "an image with an incompatible feature that nobody knows" {
	disk
	poke 72 80
	refused ""
}

@test "a folder for temporary files that is full" {
	disk
	run --separate-stderr bash -c 'ulimit -f 64; yes | head -c 1M | TMPDIR=. "$QCOWTOOL" write disk.qcow2 --file=-'
	[[ $status == 1 && $stderr == "qcowtool write: temporary file (TMPDIR says where): "*"File too large" ]]
}

@test "an encrypted image" {
	make_encrypted s -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 disk.qcow2 1M
	refused "encrypted"
	# What the file holds is not what the guest sees: there is nothing to compare with.
	qemu-io --object secret,id=s,data=secret -c 'write -q -P 0x33 0 64k' \
		--image-opts driver=qcow2,encrypt.key-secret=s,file.filename=disk.qcow2
	unchanged disk.qcow2 fails 1 write disk.qcow2 --expect="$(printf '%0512d' 0)"
	says "encrypted"
}

@test "qcow version 1, and what is no image" {
	qemu-img create -q -f qcow disk.qcow2 1M
	refused "version 1 is not supported"
	head -c 70000 /dev/zero >disk.qcow2
	refused "not a qcow2 image"
	: >disk.qcow2
	refused "not a qcow2 image"
	printf 'QFI\xfb\0\0\0\3' >disk.qcow2
	refused ""
}

@test "an image that is cut off" {
	disk
	truncate -s 200 disk.qcow2
	refused ""
}

@test "a folder, a pipe, a file without permission" {
	mkdir folder
	fails 1 write folder --hex=01
	mkfifo pipe
	fails 1 write pipe --hex=01
	disk
	[[ $EUID == 0 ]] || {
		chmod 400 disk.qcow2
		refused "cannot open for writing: Permission denied"
	}
}
