#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Every command that reads through a backing chain follows the same references, and refuses the same.
# shellcheck shell=bash disable=SC2154

load ../../support/cli

# Each reads guest bytes, or asks what is where, all the way down.
readonly readers=(
	"info --backing-chain"
	map
	read
	hash
	"compare IMAGE alone.qcow2"
	"write --at=1000 --hex=aa"
	"rebase -b ''"
	"rebase -b $BATS_TEST_TMPDIR/new.raw -F raw"
)

# Runs one of the above on an image; --chain applies to what the image names.
read_by() { # READER IMAGE ARGUMENT...
	local words image=$2
	eval "words=($1)"
	shift 2
	words+=("$@")
	if [[ " ${words[*]} " == *" IMAGE "* ]]; then
		words=("${words[@]/#IMAGE/$image}")
	else
		words+=("$image")
	fi
	qcowtool "${words[@]}"
}

all_read() { # IMAGE ARGUMENT...
	local reader
	for reader in "${readers[@]}"; do
		cp "$1" before.qcow2
		read_by "$reader" "$@"
		[[ -z $stderr ]] || complain "expected '$reader $*' to read it"
		cp before.qcow2 "$1"
	done
}

none_reads() { # WORDS IMAGE ARGUMENT...
	local reader said=$1
	shift
	for reader in "${readers[@]}"; do
		unchanged "$1" read_by "$reader" "$@"
		[[ $status == 1 || ($reader == compare* && $status == 2) ]] ||
			complain "expected '$reader $*' to fail"
		one_error_line "${reader%% *}"
		says "$said"
	done
}

make_files() {
	mkdir in out
	truncate -s 1M new.raw in/base.raw out/base.raw
	qemu-io -f raw -c "write -q -P 1 0 1M" in/base.raw
	qemu-io -f raw -c "write -q -P 1 0 1M" out/base.raw
	qemu-img create -q -f qcow2 alone.qcow2 1M
}

# An image with a backing file that is not there, or that qemu-img would not take.
name_base() { # IMAGE NAME FORMAT
	qemu-img create -q -f qcow2 "$1" 1M
	qemu-img rebase -q -u -b "$2" ${3:+-F "$3"} "$1"
}

@test "--chain=none, dir and any" {
	make_files
	name_base in/near.qcow2 base.raw raw
	name_base in/far.qcow2 ../out/base.raw raw
	ln -s ../out/base.raw in/link.raw
	name_base in/linked.qcow2 link.raw raw
	all_read in/near.qcow2
	all_read in/far.qcow2 --chain=any
	for reader in "info --backing-chain" map read hash "rebase -b ''"; do
		read_by "$reader" in/near.qcow2 --chain=dir
		[[ $status == 0 ]] || complain "$reader"
		name_base in/near.qcow2 base.raw raw
	done
	none_reads "" in/near.qcow2 --chain=none
	none_reads "not in or below the image's directory" in/far.qcow2 --chain=dir
	none_reads "not in or below the image's directory" in/linked.qcow2 --chain=dir
}

@test "names with a protocol, and what is no plain file" {
	local name
	make_files
	mkfifo pipe
	mkdir folder
	for name in 'json:{"driver":"null-co"}' nbd://host/disk nbd+unix:///disk fd:3 pipe folder missing; do
		name_base disk.qcow2 "$name" raw
		none_reads "" disk.qcow2
	done
}

@test "loops, also far down" {
	make_files
	name_base one.qcow2 two.qcow2 qcow2
	name_base two.qcow2 three.qcow2 qcow2
	name_base three.qcow2 two.qcow2 qcow2
	none_reads "loop" one.qcow2
	name_base self.qcow2 ./self.qcow2 qcow2
	none_reads "loop" self.qcow2
}

@test "what was found by probing follows no references of its own" {
	make_files
	name_base middle.qcow2 in/base.raw raw
	name_base disk.qcow2 middle.qcow2 raw
	all_read disk.qcow2
	# Recorded formats are what qemu-img insists on; older images have none.
	qemu-img create -q -f qcow2 undeclared.qcow2 1M
	printf 'middle.qcow2' | dd of=undeclared.qcow2 bs=1 seek=$((0x400)) conv=notrunc status=none
	printf '\0\0\0\0\0\0\4\0\0\0\0\14' | dd of=undeclared.qcow2 bs=1 seek=8 conv=notrunc status=none
	none_reads "format is not recorded" undeclared.qcow2
	qemu-img rebase -q -u -b "" middle.qcow2
	all_read undeclared.qcow2
}
