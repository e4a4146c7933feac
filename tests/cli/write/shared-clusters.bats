#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Clusters that the disk itself refers to twice, as deduplication leaves them: sound if the refcount is
# 2, refused or at least left alone if it is 1.
# shellcheck shell=bash disable=SC2154

load ../../support/cli

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	qemu-img create -q -f qcow2 disk.qcow2 1M
	qemu-io -c 'write -q -P 1 0 1M' disk.qcow2
}

word() { # OFFSET
	od -An -v -tu8 --endian=big -j "$1" -N 8 disk.qcow2 | tr -d ' '
}

put() { # BYTES OFFSET NUMBER
	local digits escaped=''
	printf -v digits "%0$(($1 * 2))x" "$3"
	for ((; ${#digits} > 0;)); do
		escaped+="\\x${digits:0:2}" digits=${digits:2}
	done
	printf '%b' "$escaped" | dd of=disk.qcow2 bs=1 seek="$2" conv=notrunc status=none
}

# Of a cluster that the first refcount block counts.
put_refcount() { # CLUSTER COUNT
	put 2 $(($(word "$(word 48)") + $1 * 2)) "$2"
}

# Guest cluster 1 refers to the cluster of guest cluster 0.
share() { # REFCOUNT
	local l2=$(($(word "$(word 40)") & 0x00fffffffffffe00))
	local mine=$(($(word "$l2") & 0x00fffffffffffe00)) other=$(($(word $((l2 + 8))) & 0x00fffffffffffe00))
	put 8 "$l2" $mine
	put 8 $((l2 + 8)) $mine
	put_refcount $((mine >> 16)) "$1"
	put_refcount $((other >> 16)) 0
}

@test "who is left with a cluster that was used twice owns it" {
	share 2
	is_clean disk.qcow2
	succeeds write disk.qcow2 --at=100 --text=hello
	is_clean disk.qcow2
	[[ $("$QCOWTOOL" read --at=100 --length=5 disk.qcow2) == hello ]]
	[[ $("$QCOWTOOL" read --at=65636 --length=5 disk.qcow2 | od -An -tx1) == " 01 01 01 01 01" ]]
	succeeds write disk.qcow2 --at=64k --text=world
	is_clean disk.qcow2
}

@test "so it is when both are written or discarded at once" {
	share 2
	cp disk.qcow2 shared.qcow2
	succeeds write disk.qcow2 --at=0 --text=hello --at=64k --text=world
	is_clean disk.qcow2
	cp shared.qcow2 disk.qcow2
	succeeds write disk.qcow2 --discard=64k
	is_clean disk.qcow2
	succeeds write disk.qcow2 --at=64k --discard=64k
	is_clean disk.qcow2
}

@test "so it is beside a snapshot that does not hold the cluster" {
	share 2
	qemu-img snapshot -c all disk.qcow2
	succeeds write disk.qcow2 --fill=2:1M
	share 2
	is_clean disk.qcow2
	succeeds write disk.qcow2 --at=100 --text=hello
	is_clean disk.qcow2
}

@test "so it is with an L2 table that the disk uses twice" {
	rm disk.qcow2
	qemu-img create -q -f qcow2 -o cluster_size=512 disk.qcow2 64k
	qemu-io -c 'write -q -P 1 512 512' -c 'write -q -P 2 32k 512' disk.qcow2
	local l1 mine other
	l1=$(word 40)
	mine=$(($(word "$l1") & 0x00fffffffffffe00)) other=$(($(word $((l1 + 8))) & 0x00fffffffffffe00))
	local data=$(($(word $((mine + 8))) & 0x00fffffffffffe00))
	local left=$(($(word "$other") & 0x00fffffffffffe00))
	put 8 "$l1" $mine
	put 8 $((l1 + 8)) $mine
	put 8 $((mine + 8)) $data
	put_refcount $((mine >> 9)) 2
	put_refcount $((data >> 9)) 2
	put_refcount $((other >> 9)) 0
	put_refcount $((left >> 9)) 0
	is_clean disk.qcow2
	qemu-img snapshot -c without disk.qcow2
	succeeds snapshot-cow delete disk.qcow2 without
	is_clean disk.qcow2
	succeeds write disk.qcow2 --at=2048 --text=hello
	is_clean disk.qcow2
	[[ $("$QCOWTOOL" read --at=33280 --length=2 disk.qcow2 | od -An -tx1) == " 01 01" ]]
	[[ $("$QCOWTOOL" read --at=34816 --length=2 disk.qcow2 | od -An -tx1) == " 00 00" ]]
}

@test "a cluster that is used twice and counted once is refused" {
	share 1
	unchanged disk.qcow2 fails 1 write disk.qcow2 --discard=64k
	says "is used more often than its refcount says"
}

# One cluster that is counted so high leaves no room for that proof.
@test "it loses nothing where the image is too large to notice" {
	share 1
	high=$(((1 << 26) + 5))
	blocks=$((($(stat -c %s disk.qcow2) + 65535) >> 16))
	truncate -s $(((blocks + 1) << 16)) disk.qcow2
	put 8 $(($(word 48) + 8 * (high / 32768))) $((blocks << 16))
	put_refcount $blocks 1
	put 2 $(((blocks << 16) + high % 32768 * 2)) 1
	truncate -s $(((high + 1) << 16)) disk.qcow2
	succeeds write disk.qcow2 --discard=64k
	[[ $("$QCOWTOOL" read --at=64k --length=4 disk.qcow2 | od -An -tx1) == " 01 01 01 01" ]]
}
