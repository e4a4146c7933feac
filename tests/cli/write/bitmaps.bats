#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Persistent dirty bitmaps after our edits, beside those after the same edits by QEMU.

load ../../support/cli

teardown() {
	[[ ! -e nbd.pid ]] || kill "$(<nbd.pid)" 2>/dev/null || true
}

# Two images alike: ours.qcow2, and theirs.qcow2 for QEMU to edit.
images() { # CREATE-OPTION...
	rm -f ./*.qcow2
	qemu-img create -q -f qcow2 "$@" ours.qcow2 64M
	qemu-img bitmap --add --enable -g 4096 ours.qcow2 fine
	qemu-img bitmap --add --enable -g 1M ours.qcow2 coarse
	qemu-img bitmap --add --disable ours.qcow2 off
	cp ours.qcow2 theirs.qcow2
}

# The marked extents, as QEMU exports them.
marks() { # IMAGE BITMAP
	local socket=$BATS_TEST_TMPDIR/nbd.sock
	rm -f "$socket"
	qemu-nbd --read-only --fork --pid-file="$PWD/nbd.pid" -f qcow2 -k "$socket" -B "$2" "$1"
	qemu-img map --output=json --image-opts \
		"driver=nbd,server.type=unix,server.path=$socket,x-dirty-bitmap=qemu:dirty-bitmap:$2" |
		jq -c '[.[] | select(.data == false) | [.start, .length]]'
	while [[ -e nbd.pid ]] && kill -0 "$(<nbd.pid)" 2>/dev/null; do sleep 0.02; done
	rm -f nbd.pid
}

same_marks() {
	local name ours
	for name in fine coarse off; do
		ours=$(marks ours.qcow2 "$name")
		[[ $ours == "$(marks theirs.qcow2 "$name")" ]] ||
			complain "'$name' differs: $ours"
	done
	is_clean ours.qcow2
}

change_theirs() { # COMMAND...
	local all=()
	while (($#)); do
		all+=(-c "$1")
		shift
	done
	qemu-io -f qcow2 "${all[@]}" theirs.qcow2 >/dev/null
}

@test "writes, zeroes and discards are marked as QEMU marks them" {
	for options in cluster_size=64k cluster_size=512 extended_l2=on refcount_bits=1; do
		images -o "$options"
		succeeds write ours.qcow2 --at=1M --fill=1:100k --at=10000001 --hex=01 --at=32M \
			--zero=20M --at=60M --discard=1M
		change_theirs "write -P 1 1M 100k" "write -P 1 10000001 1" "write -z 32M 20M" \
			"discard 60M 1M"
		same_marks
	done
}

@test "a disk that grows keeps its marks" {
	images -o cluster_size=512
	succeeds write ours.qcow2 --grow --at=63M --hex=01 --at=300M --fill=2:64k
	change_theirs "write -P 1 63M 1"
	qemu-img resize -q theirs.qcow2 $((300 * 1024 * 1024 + 65536))
	change_theirs "write -P 2 300M 64k"
	same_marks
}

@test "rebase marks nothing: the guest sees what it saw" {
	qemu-img create -q -f raw base 64M
	images
	rm ours.qcow2
	qemu-io -f raw -c "write -P 5 3M 1M" base >/dev/null
	qemu-img create -q -f qcow2 -b base -F raw ours.qcow2
	qemu-img bitmap --add --enable ours.qcow2 fine
	succeeds rebase -b "" ours.qcow2
	[[ $(marks ours.qcow2 fine) == "[]" ]]
	is_clean ours.qcow2
}

@test "what leaves the contents as they are marks nothing" {
	images
	succeeds write ours.qcow2 --compress --at=1M --fill=1:64k
	before=$(marks ours.qcow2 fine)
	succeeds decompress ours.qcow2
	succeeds snapshot-cow create ours.qcow2 one
	[[ $(marks ours.qcow2 fine) == "$before" ]]
	is_clean ours.qcow2
}

@test "a dry run marks nothing" {
	images
	unchanged ours.qcow2 succeeds write --dry-run ours.qcow2 --at=1M --hex=01
}
