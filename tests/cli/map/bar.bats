#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# On a terminal map ends with the disk as one line of blocks and a legend; elsewhere there is none of it.

load ../../support/cli

make_varied() {
	qemu-img create -q -f qcow2 base.qcow2 8M
	qemu-io -c 'write -P 1 2M 2M' base.qcow2 >/dev/null
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 8M
	qemu-io -c 'write -P 2 0 1M' -c 'write -z 4M 1M' top.qcow2 >/dev/null
}

# The last run's output on a terminal, with newlines alone.
on_a_terminal() { # VARIABLE=VALUE... -- ARGUMENT...
	local settings=() words
	while [[ $1 != -- ]]; do
		settings+=("$1")
		shift
	done
	words=$(printf '%q ' env -u NO_COLOR "${settings[@]}" "$QCOWTOOL" "${@:2}")
	script -qec "$words" /dev/null </dev/null | tr -d '\r'
}

@test "the bar follows the lines, in letters where there are no colours" {
	local setting expected
	make_varied
	expected="$("$QCOWTOOL" map top.qcow2)
#####.....bbbbbbbbbb00000...............
## data 1 MiB
bb from a backing file 2 MiB
00 zeroes 1 MiB  .. nothing stored 4 MiB"
	for setting in TERM=dumb TERM= NO_COLOR=1; do
		output=$(on_a_terminal TERM=xterm COLUMNS=40 "$setting" -- map top.qcow2)
		[[ $output != *$'\033'* ]] || complain "colour in spite of $setting"
		prints "$expected"
	done
}

@test "the bar is as wide as COLUMNS says, or the terminal" {
	make_varied
	output=$(on_a_terminal TERM=dumb COLUMNS=64 -- map top.qcow2)
	[[ $(grep -c '^[#b0.]\{64\}$' <<<"$output") == 1 ]] || complain "not of 64 columns"
	output=$(script -qec "stty columns 48; env -u COLUMNS TERM=dumb '$QCOWTOOL' map top.qcow2" /dev/null </dev/null | tr -d '\r')
	[[ $(grep -c '^[#b0.]\{48\}$' <<<"$output") == 1 ]] || complain "not of 48 columns"
	output=$(on_a_terminal TERM=dumb COLUMNS=none -- map top.qcow2)
	[[ $(grep -c '^[#b0.]\{80\}$' <<<"$output") == 1 ]] || complain "not of 80 columns"
}

@test "colours are reset at the end of every line" {
	make_varied
	output=$(on_a_terminal TERM=xterm COLUMNS=40 -- map top.qcow2)
	[[ $output == *$'\033[44m     \033[0m\033[90m.....\033[0m\033[43m'* ]] || complain "no blocks of colour"
	[[ $output == *$'\033[44m  \033[0m data 1 MiB'* ]] || complain "no legend"
	[[ $(grep -cF $'\033' <<<"$output") == "$(grep -c $'\033\\[0m[^\033]*$' <<<"$output")" ]] ||
		complain "colour flows over the end of a line"
}

@test "a part of the disk has a bar of its own, and an empty part none" {
	make_varied
	output=$(on_a_terminal TERM=dumb COLUMNS=20 -- map -s 4M -l 2M top.qcow2)
	[[ $output == *$'\n0000000000..........\n00 zeroes 1 MiB\n.. nothing stored 1 MiB' ]] ||
		complain "another bar"
	output=$(on_a_terminal TERM=dumb COLUMNS=20 -- map -s 9M top.qcow2)
	[[ $(wc -l <<<"$output") == 1 ]] || complain "a bar of nothing"
}

@test "little that is stored can be seen among much that is not" {
	qemu-img create -q -f qcow2 a.qcow2 1T
	qemu-io -c 'write -P 1 512G 64k' a.qcow2 >/dev/null
	output=$(on_a_terminal TERM=dumb COLUMNS=20 -- map a.qcow2)
	[[ $output == *$'\n..........#.........\n'* ]] || complain "not seen"
}

@test "compressed parts have no line, and a place in the bar" {
	qemu-img create -q -f qcow2 a.qcow2 1M
	qemu-io -c "write -c -P 1 0 512k" a.qcow2 >/dev/null
	output=$(on_a_terminal TERM=dumb COLUMNS=20 -- map a.qcow2)
	[[ $output == *$'\ncccccccccc..........\ncc compressed 512 KiB\n'* ]] || complain "no bar"
	[[ $output == *"--output=json shows them" ]] || complain "no error"
}

@test "no bar where stdout is no terminal, in JSON, or with --quiet" {
	make_varied
	script -qec "TERM=xterm '$QCOWTOOL' map top.qcow2 >out" /dev/null </dev/null
	[[ $(wc -l <out) == 3 ]] || complain "a bar in a file"
	output=$(on_a_terminal TERM=xterm -- map --output=json top.qcow2)
	jq -e . <<<"$output" >/dev/null || complain "a bar in JSON"
	output=$(on_a_terminal TERM=xterm -- map --quiet top.qcow2)
	[[ $output == "" ]] || complain "not quiet"
}
