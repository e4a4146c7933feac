#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# check --snapshot is about one snapshot: its numbers of clusters, and what can do harm to it.
# shellcheck disable=SC2154  # status, output and stderr are set by bats

load ../../support/cli
load ../../support/bytes

# The first L2 table of the disk (0) or of the n-th snapshot.
l2_of() { # N
	local table at
	at=$(be disk.qcow2 40 8)
	if (($1 > 0)); then
		table=$(be disk.qcow2 64 8)
		# Entries of qemu: 40 bytes, 24 of extra data, an id and a name of one byte, padding.
		at=$(be disk.qcow2 $((table + ($1 - 1) * 72)) 8)
	fi
	entry_host disk.qcow2 "$at"
}

# Snapshots a (id 1), b (id 2) and the disk each have an L2 table and a cluster of their own.
setup() {
	[[ -x ${QCOWTOOL:-} ]] || return 1
	cd "$BATS_TEST_TMPDIR" || return 1
	qemu-img create -q -f qcow2 disk.qcow2 4M
	qemu-io -f qcow2 -c "write -P 1 0 256k" -c "write -c -P 2 1M 64k" disk.qcow2 >/dev/null
	qemu-img snapshot -c a disk.qcow2
	qemu-img resize -q disk.qcow2 8M
	qemu-io -f qcow2 -c "write -P 3 64k 64k" -c "write -P 3 5M 64k" disk.qcow2 >/dev/null
	qemu-img snapshot -c b disk.qcow2
	qemu-io -f qcow2 -c "write -P 4 64k 64k" disk.qcow2 >/dev/null
	is_clean disk.qcow2
	cp disk.qcow2 sound.qcow2
}

# Status 2 for what is listed, 0 for the rest of: the image, a, b.
harms() { # WHAT...
	local what options expected
	for what in image a b; do
		options=("--snapshot=$what")
		[[ $what != image ]] || options=()
		expected=0
		[[ " $* " != *" $what "* ]] || expected=2
		qcowtool check "${options[@]}" disk.qcow2
		[[ $status == "$expected" ]] || complain "$what: expected status $expected"
	done
}

@test "its numbers are what they are once it is applied" {
	local name numbers
	numbers='[."total-clusters", ."allocated-clusters", ."fragmented-clusters", ."compressed-clusters"]'
	for name in a b; do
		cp sound.qcow2 applied.qcow2
		qemu-img snapshot -a $name applied.qcow2
		succeeds check --snapshot=$name --output=json sound.qcow2
		diff <(jq "$numbers" <<<"$output") \
			<(qemu-img check --output=json applied.qcow2 | jq "$numbers")
	done
	succeeds check --snapshot=1 sound.qcow2
	[[ $output == *"5/64 = "* && $output == *"20.00% compressed"* ]] || complain "other numbers"
}

@test "a sound image has sound snapshots, of all shapes" {
	local shape
	for shape in cluster_size=512 cluster_size=2M extended_l2=on compat=0.10 refcount_bits=64; do
		qemu-img create -q -f qcow2 -o $shape shape.qcow2 4M
		qemu-io -f qcow2 -c "write 0 300k" shape.qcow2 >/dev/null
		qemu-img snapshot -c one shape.qcow2
		qemu-img snapshot -c two shape.qcow2
		qemu-io -f qcow2 -c "write 100k 300k" shape.qcow2 >/dev/null
		succeeds check --snapshot=one shape.qcow2
		succeeds check --deep --snapshot=2 shape.qcow2
	done
}

@test "a broken entry harms those that have it" {
	local n names=("image" "image a" "image b")
	for n in 0 1 2; do
		cp sound.qcow2 disk.qcow2
		# A reserved bit in the second entry; none of the three shares its table.
		poke disk.qcow2 $(($(l2_of $n) + 8 + 7)) 02
		# shellcheck disable=SC2086  # one word or two
		harms ${names[n]}
	done
}

@test "a count that is too low harms those that refer to the cluster" {
	local table block first
	table=$(be disk.qcow2 48 8)
	block=$(be disk.qcow2 "$table" 8)
	# The third cluster of the disk belongs to all.
	first=$(entry_host disk.qcow2 $(($(l2_of 0) + 16)))
	poke disk.qcow2 $((block + first / 32768)) 0002
	harms image a b
	# The second one of b belongs to b alone.
	cp sound.qcow2 disk.qcow2
	first=$(entry_host disk.qcow2 $(($(l2_of 2) + 8)))
	poke disk.qcow2 $((block + first / 32768)) 0000
	harms image b
}

@test "leaks and flags of the disk are none of its business" {
	local table block
	table=$(be disk.qcow2 48 8)
	block=$(be disk.qcow2 "$table" 8)
	poke disk.qcow2 "$block" 0002
	qcowtool check disk.qcow2
	[[ $status == 3 ]]
	succeeds check --snapshot=a disk.qcow2
	cp sound.qcow2 disk.qcow2
	poke disk.qcow2 $(($(l2_of 0) + 8)) 00
	harms image
}

@test "a compressed cluster that is broken harms its own" {
	local descriptor at
	qemu-io -f qcow2 -c "write -P 9 1M 64k" disk.qcow2 >/dev/null
	descriptor=$(be disk.qcow2 $(($(l2_of 1) + 16 * 8)) 8)
	at=$((descriptor & ((1 << 54) - 1)))
	poke disk.qcow2 "$at" ffffffffffffffff
	qcowtool check --deep --snapshot=a disk.qcow2
	[[ $status == 2 && $stderr == *compressed* ]]
	succeeds check --snapshot=a disk.qcow2
	qemu-img snapshot -c c disk.qcow2
	succeeds check --deep --snapshot=c disk.qcow2
}

@test "a snapshot that is not there, and repairs" {
	fails 1 check --snapshot=c disk.qcow2
	says "there is no snapshot 'c'"
	fails 64 check -r all --snapshot=a disk.qcow2
}
