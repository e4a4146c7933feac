#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The entries of qemu's snapshots survive every verb byte for byte: VM states, instruction counts,
# extra data that is not known, entries without any, names that repeat or are no text.
# shellcheck disable=SC2154,SC2030,SC2031  # bats sets variables, and runs tests in subshells

load ../../support/cli
load ../../support/bytes

# Sets entry[ID] to the bytes of each entry, in hex, and ids to the IDs in their order.
declare -A entry
load_entries() {
	local at count extra id name bytes
	at=$(be disk.qcow2 64 8)
	count=$(be disk.qcow2 60 4)
	entry=()
	ids=()
	while ((count-- > 0)); do
		id=$(be disk.qcow2 $((at + 12)) 2)
		name=$(be disk.qcow2 $((at + 14)) 2)
		extra=$(be disk.qcow2 $((at + 36)) 4)
		bytes=$(hex disk.qcow2 "$at" $((40 + extra + id + name)))
		id=$(dd if=disk.qcow2 bs=1 skip=$((at + 40 + extra)) count="$id" status=none)
		entry[$id]=$bytes
		ids+=("$id")
		at=$(((at + ${#bytes} / 2 + 7) / 8 * 8))
	done
}

# Puts changed entries in the place of the old table, which has room for them.
store_entries() {
	local id bytes all=
	for id in "${ids[@]}"; do
		bytes=${entry[$id]}
		while ((${#bytes} % 16)); do bytes+=00; done
		all+=$bytes
	done
	poke disk.qcow2 "$(be disk.qcow2 64 8)" "$all"
}

# BYTES of an entry get extra data of that many bytes: cut off, or 0xe5 added.
with_extra() { # BYTES LENGTH
	local was=$((16#${1:72:8})) extra=${1:80}
	local rest=${extra:$((was * 2))}
	extra=${extra:0:$((was * 2))}
	while ((${#extra} < $2 * 2)); do extra+=e5; done
	printf '%s%08x%s%s' "${1:0:72}" "$2" "${extra:0:$(($2 * 2))}" "$rest"
}

change() { # PATTERN
	qemu-io -f qcow2 -c "write -P $1 ${1}0k 100k" -c "write -b -P $1 0 70k" disk.qcow2 >/dev/null
}

# IDs 1 and 2 share a name, 3 is no text; each has a VM state, 4 an instruction count.
make_disk() { # CREATE-OPTIONS
	qemu-img create -q -f qcow2 -o "$1" disk.qcow2 1M
	change 1
	qemu-img snapshot -c twice disk.qcow2
	change 2
	qemu-img snapshot -c twice disk.qcow2
	change 3
	qemu-img snapshot -c $'\xff\xfe \xe9' disk.qcow2
	change 4
	qemu-img snapshot -c last disk.qcow2
	change 5
	load_entries
	# The VM's size (also as 32 bits), clock and count of instructions.
	entry[4]=${entry[4]:0:48}0123456789abcdef00011170${entry[4]:72:8}0000000000011170${entry[4]:96:16}00000000deadbeef${entry[4]:128}
}

note_contents() {
	local id
	declare -gA contents
	for id in "${ids[@]}"; do
		qemu-img convert -f qcow2 -O raw -l "snapshot.id=$id" disk.qcow2 seen.raw
		contents[$id]=$(sha seen.raw)
	done
}

# The entries and contents of these ids are what they were.
survive() { # ID...
	local id
	declare -A was
	for id in "$@"; do was[$id]=${entry[$id]}; done
	load_entries
	for id in "$@"; do
		[[ ${entry[$id]} == "${was[$id]}" ]] ||
			complain "entry $id has changed from ${was[$id]} to ${entry[$id]}"
		qemu-img convert -f qcow2 -O raw -l "snapshot.id=$id" disk.qcow2 seen.raw
		[[ $(sha seen.raw) == "${contents[$id]}" ]] || complain "contents of $id have changed"
	done
	is_clean disk.qcow2
	succeeds check disk.qcow2
}

each_verb_keeps_the_others() {
	local id
	is_clean disk.qcow2
	note_contents
	succeeds snapshot-cow create disk.qcow2 new
	survive 1 2 3 4
	for id in 3 1 4 2; do
		succeeds snapshot-cow apply disk.qcow2 $id
		survive 1 2 3 4
		qemu-io -r -f qcow2 -c "read -b -P $id 0 70k" disk.qcow2 >out
		! grep -q "verification failed" out || complain "another VM state than that of $id"
	done
	succeeds write disk.qcow2 --at=5k --fill=9:500k
	survive 1 2 3 4
	succeeds snapshot-cow rename disk.qcow2 new newer
	survive 1 2 3 4
	succeeds snapshot-cow rename disk.qcow2 3 text
	survive 1 2 4
	succeeds snapshot-cow rename disk.qcow2 text $'\xff\xfe \xe9'
	succeeds snapshot-cow delete disk.qcow2 newer
	survive 1 2 4
	# By its name, the first of two.
	succeeds snapshot-cow delete disk.qcow2 twice
	survive 2 3 4
	succeeds snapshot-cow delete disk.qcow2 $'\xff\xfe \xe9'
	survive 2 4
	[[ ${#ids[@]} == 2 ]]
}

@test "as qemu writes them" {
	local options
	for options in compat=1.1 compat=0.10 cluster_size=512 extended_l2=on; do
		rm -f disk.qcow2
		make_disk $options
		store_entries
		each_verb_keeps_the_others
	done
}

@test "with extra data that nobody knows" {
	make_disk cluster_size=4k
	entry[1]=$(with_extra "${entry[1]}" 40)
	entry[4]=$(with_extra "${entry[4]}" 25)
	store_entries
	each_verb_keeps_the_others
}

@test "without a disk size, as old versions wrote them" {
	make_disk compat=0.10
	entry[1]=$(with_extra "${entry[1]}" 0)
	entry[2]=$(with_extra "${entry[2]}" 8)
	entry[4]=$(with_extra "${entry[4]}" 0)
	store_entries
	each_verb_keeps_the_others
}

@test "an icount, a VM clock and a VM size are listed as qemu lists them" {
	make_disk compat=1.1
	store_entries
	succeeds snapshot-cow list disk.qcow2
	[[ $output == *3735928559* ]]
	diff <(grep -a ^4 <<<"$output") <(qemu-img snapshot -l disk.qcow2 | grep -a ^4)
}
