#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What cannot be done is refused in one line, with the image as it was, byte for byte.
# shellcheck disable=SC2154  # status, output and stderr are set by bats

load ../../support/cli
load ../../support/bytes

make_disk() { # CREATE-OPTION...
	qemu-img create -q -f qcow2 "$@" disk.qcow2 1M
	qemu-io -f qcow2 -c "write -P 1 0 200k" disk.qcow2 >/dev/null
}

# All verbs that change something, on an image with a snapshot "one".
each_verb_fails() { # WORDS
	local verb
	for verb in "create disk.qcow2 two" "apply disk.qcow2 one" "delete disk.qcow2 one" \
		"rename disk.qcow2 one two"; do
		# shellcheck disable=SC2086  # the verb's words
		unchanged disk.qcow2 fails 1 snapshot-cow $verb
		says "$1"
	done
}

set_incompatible() { # BIT
	printf '%b' "\\$(printf %o "$((1 << $1))")" |
		dd of=disk.qcow2 bs=1 seek=79 conv=notrunc status=none
}

@test "a snapshot that is not there" {
	make_disk
	succeeds snapshot-cow create disk.qcow2 one
	for name in two 2 "" on $'o\nne' $'\xff'; do
		unchanged disk.qcow2 fails 1 snapshot-cow apply disk.qcow2 "$name"
		says "no snapshot"
		unchanged disk.qcow2 fails 1 snapshot-cow delete disk.qcow2 "$name"
		unchanged disk.qcow2 fails 1 snapshot-cow rename disk.qcow2 "$name" three
	done
}

@test "wrong verbs and wrong numbers of arguments are usage errors" {
	make_disk
	local words
	for words in "" "list" "create disk.qcow2" "frobnicate disk.qcow2" "frobnicate disk.qcow2 x" \
		"create" "list disk.qcow2 x" "create disk.qcow2 a b" "apply disk.qcow2" \
		"apply disk.qcow2 a b" "delete disk.qcow2" "delete disk.qcow2 a b" \
		"rename disk.qcow2 a" "rename disk.qcow2 a b c" "disk.qcow2 create x" \
		"create --nothing disk.qcow2 a"; do
		# shellcheck disable=SC2086  # the words
		unchanged disk.qcow2 fails 64 snapshot-cow $words
	done
}

@test "a file that is not there, or no image" {
	fails 1 snapshot-cow create none.qcow2 one
	fails 1 snapshot-cow list none.qcow2
	head -c 100000 /dev/zero >zero.qcow2
	unchanged zero.qcow2 fails 1 snapshot-cow create zero.qcow2 one
	fails 1 snapshot-cow list zero.qcow2
}

@test "more references than a refcount can count" {
	local bits most
	for bits in 1 2 4 8; do
		make_disk -o refcount_bits=$bits
		most=$(((1 << bits) - 1))
		for ((i = 1; i < most; i++)); do
			"$QCOWTOOL" snapshot-cow create --no-sync --trust-refcounts disk.qcow2 s$i
		done
		unchanged disk.qcow2 fails 1 snapshot-cow create disk.qcow2 too-many
		says "refcount"
		unchanged disk.qcow2 fails 1 snapshot-cow create -n disk.qcow2 too-many
		is_clean disk.qcow2
		if ((bits > 1)); then
			succeeds snapshot-cow delete disk.qcow2 1
			succeeds snapshot-cow create disk.qcow2 fits
			is_clean disk.qcow2
		fi
	done
}

# Three snapshots of one L2 table that the disk does not have: more than creating them can lead to, as
# the disk has what a snapshot is taken of. So the third one's L1 table is made the first one's.
@test "an apply that more references would need" {
	local shape at=() i
	for shape in cluster_size=64k cluster_size=512 extended_l2=on; do
		rm -f disk.qcow2
		make_disk -o refcount_bits=2,$shape
		qemu-img snapshot -c a disk.qcow2
		qemu-img snapshot -c b disk.qcow2
		qemu-io -f qcow2 -c "write -P 2 0 200k" disk.qcow2 >/dev/null
		qemu-img snapshot -c c disk.qcow2
		qemu-io -f qcow2 -c "write -P 3 0 200k" disk.qcow2 >/dev/null
		for i in 0 1 2; do
			at[i]=$(be disk.qcow2 $(($(be disk.qcow2 64 8) + i * 72)) 8)
		done
		i=$(be disk.qcow2 $(($(be disk.qcow2 64 8) + 8)) 4)
		poke disk.qcow2 "${at[2]}" "$(hex disk.qcow2 "${at[0]}" $((i * 8)))"
		qemu-img check -q -r all disk.qcow2 || true
		is_clean disk.qcow2
		for i in a b c; do
			unchanged disk.qcow2 fails 1 snapshot-cow apply disk.qcow2 $i
			says "refcount"
			unchanged disk.qcow2 fails 1 snapshot-cow apply -n disk.qcow2 $i
			cp disk.qcow2 copy.qcow2
			run ! qemu-img snapshot -a $i copy.qcow2
		done
		succeeds snapshot-cow delete disk.qcow2 b
		succeeds snapshot-cow apply disk.qcow2 c
		is_clean disk.qcow2
		qemu-io -f qcow2 -c "read -P 1 0 200k" disk.qcow2 | grep -q "read 204800"
	done
}

@test "with counts of one bit there is a snapshot of an empty disk only" {
	qemu-img create -q -f qcow2 -o refcount_bits=1 disk.qcow2 1M
	succeeds snapshot-cow create disk.qcow2 empty
	qemu-io -f qcow2 -c "write -P 1 0 100k" disk.qcow2 >/dev/null
	unchanged disk.qcow2 fails 1 snapshot-cow create disk.qcow2 more
	says "refcount"
	succeeds snapshot-cow apply disk.qcow2 empty
	is_clean disk.qcow2
	succeeds check disk.qcow2
	succeeds snapshot-cow delete disk.qcow2 empty
	is_clean disk.qcow2
}

@test "an image that is marked corrupt" {
	make_disk
	qemu-img snapshot -c one disk.qcow2
	set_incompatible 1
	each_verb_fails "corrupt"
}

@test "an unknown incompatible feature" {
	make_disk
	qemu-img snapshot -c one disk.qcow2
	set_incompatible 6
	each_verb_fails ""
	fails 1 snapshot-cow list disk.qcow2
}

@test "an image with an external data file" {
	qemu-img create -q -f qcow2 -o data_file=data.raw disk.qcow2 1M
	unchanged disk.qcow2 fails 1 snapshot-cow create disk.qcow2 one
	says "no internal snapshots"
}

@test "an image that somebody else holds" {
	make_disk
	succeeds snapshot-cow create disk.qcow2 one
	coproc qemu-io -f qcow2 disk.qcow2 2>/dev/null
	local qemu=$COPROC_PID
	# Its prompt says that it has the image open.
	read -r -n 8 -t 20 <&"${COPROC[0]}"
	each_verb_fails "lock"
	kill "$qemu"
	wait "$qemu" || true
	succeeds snapshot-cow delete disk.qcow2 one
}

# An image with as many snapshots as its table may have: NAME-BYTES decides which limit comes first.
full_table() { # NAME-BYTES
	qemu-img create -q -f qcow2 disk.qcow2 1M
	python3 "$BATS_TEST_DIRNAME/full_table.py" disk.qcow2 "$1"
	is_clean disk.qcow2
}

@test "more snapshots than an image can have" {
	full_table 6
	unchanged disk.qcow2 fails 1 snapshot-cow create disk.qcow2 more
	says "at most 65536 snapshots"
	succeeds snapshot-cow delete disk.qcow2 7
	succeeds snapshot-cow create disk.qcow2 more
	is_clean disk.qcow2
}

@test "a longer snapshot table than anybody reads" {
	full_table 65000
	long=$(head -c 65000 /dev/zero | tr '\0' y)
	unchanged disk.qcow2 fails 1 snapshot-cow create disk.qcow2 "$long"
	says "the snapshot table would have more than 67108864 bytes"
	succeeds snapshot-cow create disk.qcow2 short
	is_clean disk.qcow2
}
