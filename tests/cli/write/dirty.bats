#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Images with lazy refcounts that were not closed: every edit rebuilds their refcounts first.

load ../../support/cli

# A disk whose last writer was killed: its second half has no refcounts.
dirty_disk() {
	qemu-img create -q -f qcow2 -o lazy_refcounts=on disk.qcow2 4M
	qemu-io -f qcow2 -c "write -P 1 0 1M" disk.qcow2 >/dev/null
	! qemu-io -f qcow2 -c "write -P 2 1M 1M" -c flush -c abort disk.qcow2 >/dev/null 2>&1
	is_dirty
}

is_dirty() {
	qemu-img info -U --output=json disk.qcow2 | jq -e '."dirty-flag"' >/dev/null
}

holds_all() {
	qemu-io -f qcow2 -c "read -P 1 0 1M" -c "read -P 2 1M 1M" disk.qcow2 >/dev/null
}

# The command's edit is made, the image is sound and no longer dirty, and it is said why.
rebuilds() { # ARGUMENT...
	qcowtool "$@"
	[[ $status == 0 ]] || complain "expected success: qcowtool $*"
	says "disk.qcow2: the image was not closed cleanly: its refcounts are rebuilt (32 corruptions"
	run is_dirty
	[[ $status != 0 ]] || complain "still dirty"
	is_clean disk.qcow2
}

@test "a write rebuilds the refcounts and loses nothing" {
	dirty_disk
	rebuilds write disk.qcow2 --at=3M --hex=0102
	holds_all
	[[ $("$QCOWTOOL" read --at=3M --length=2 disk.qcow2 | od -An -tx1) == " 01 02" ]]
}

@test "so do snapshots, decompress and rebase" {
	dirty_disk
	cp disk.qcow2 dirty.qcow2
	rebuilds snapshot-cow create disk.qcow2 one
	holds_all
	cp dirty.qcow2 disk.qcow2
	rebuilds decompress disk.qcow2
	cp dirty.qcow2 disk.qcow2
	rebuilds rebase -b "" disk.qcow2
	holds_all
}

@test "a dry run says so and changes nothing" {
	dirty_disk
	sha256sum disk.qcow2 >sum
	qcowtool write --dry-run disk.qcow2 --hex=01
	[[ $status == 0 ]]
	says "not closed cleanly"
	sha256sum --check --quiet sum
}

@test "what cannot be repaired stays as it is, and so does the mark" {
	dirty_disk
	# An L2 entry with a reserved bit: the first L1 entry leads to the table.
	l1=$((16#$(od -An -tx1 -j40 -N8 disk.qcow2 | tr -d ' ')))
	l2=$((16#$(od -An -tx1 -j$((l1 + 1)) -N7 disk.qcow2 | tr -d ' ')))
	printf '\001' | dd of=disk.qcow2 bs=1 seek=$((l2 + 6)) conv=notrunc status=none
	unchanged disk.qcow2 fails 1 write disk.qcow2 --at=2M --hex=01
	says "not closed cleanly, and not all of its damage can be repaired; see qcowtool check"
}

@test "an image marked corrupt as well is refused" {
	dirty_disk
	printf '\003' | dd of=disk.qcow2 bs=1 seek=79 conv=notrunc status=none
	unchanged disk.qcow2 fails 1 write disk.qcow2 --hex=01
	says "marked corrupt"
}
