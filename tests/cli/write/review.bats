#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Promises of `write` that a review found broken once.
# shellcheck shell=bash disable=SC2154

load ../../support/cli

compressed_clusters() { # IMAGE
	qemu-img check -f qcow2 --output=json "$1" | jq '."compressed-clusters" // 0'
}

@test "--fill compresses every whole cluster, whatever their size and where it starts" {
	qemu-img create -q -f qcow2 -o cluster_size=2M disk.qcow2 64M
	succeeds write -c disk.qcow2 --fill=0xaa:16M
	[[ $(compressed_clusters disk.qcow2) == 8 ]] || complain "aligned: $(compressed_clusters disk.qcow2)"
	is_clean disk.qcow2
	for at in 512 1M 2097151; do
		qemu-img create -q -f qcow2 -o cluster_size=2M disk.qcow2 64M
		succeeds write -c disk.qcow2 --at=$at --fill=0xaa:16M
		[[ $(compressed_clusters disk.qcow2) == 7 ]] || complain "at $at: $(compressed_clusters disk.qcow2)"
		is_clean disk.qcow2
	done
	[[ $("$QCOWTOOL" read --at=2097150 --length=2 disk.qcow2 | od -An -tx1) == " 00 aa" ]]
}

@test "a file is compressed likewise" {
	qemu-img create -q -f qcow2 -o cluster_size=2M disk.qcow2 64M
	head -c 8M /dev/zero | tr '\0' x >part
	succeeds write -c disk.qcow2 --at=1M --file=part
	[[ $(compressed_clusters disk.qcow2) == 3 ]] || complain "$(compressed_clusters disk.qcow2)"
	is_clean disk.qcow2
}

@test "an image that is its own backing file: a dry run fails as the real one does" {
	qemu-img create -q -f qcow2 disk.qcow2 1M
	qemu-img rebase -u -F qcow2 -b disk.qcow2 disk.qcow2
	unchanged disk.qcow2 fails 1 write disk.qcow2 --hex=01
	real=$stderr
	[[ $real != *lock* ]] || complain "expected a loop, not a lock"
	unchanged disk.qcow2 fails 1 write -n disk.qcow2 --hex=01
	[[ $stderr == "$real" ]] || complain "the real run said: $real"
}

@test "a snapshot's cluster with a count too low: writing is refused" {
	qemu-img create -q -f qcow2 disk.qcow2 16M
	qemu-io -c 'write -q -P 0x5a 0 1M' disk.qcow2
	qemu-img snapshot -c one disk.qcow2
	block=$(number_at $(($(number_at 48))))
	data=$(qemu-img map --output=json disk.qcow2 | jq '.[0].offset')
	cluster=$((data / 65536))
	at=$((block + cluster * 2 + 1))
	[[ $(od -An -tu1 -j $at -N1 disk.qcow2 | tr -d ' ') == 2 ]]
	printf '\001' | dd of=disk.qcow2 bs=1 seek=$at conv=notrunc status=none
	unchanged disk.qcow2 fails 1 write disk.qcow2 --hex=01
	says "is used more often than its refcount says"
	unchanged disk.qcow2 fails 1 write disk.qcow2 --discard=64k
}

number_at() { # OFFSET
	echo $((16#$(od -An -v -tx1 -j "$1" -N8 disk.qcow2 | tr -d ' \n')))
}
