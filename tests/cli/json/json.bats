#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The JSON of each command has the keys that its manual page documents under JSON, and no others.
# shellcheck shell=bash disable=SC2154

load ../../support/cli

MANUAL=$BATS_TEST_DIRNAME/../../../docs/man

# Keys are Li in that section, and nothing else is.
documented_keys() { # COMMAND
	awk '/^[.]Sh/ { on = ($2 == "JSON") }
		on && /^[.](It )?Li / { sub(/^[.](It )?Li /, ""); gsub(/ [,.;:]/, ""); gsub(/ /, "\n"); print }' \
		"$MANUAL/qcowtool-$1.1" | sort -u
}

# Whatever the exit status, stdout is one JSON value; its keys are noted.
notes() { # COMMAND ARGUMENT...
	qcowtool "$1" --output=json "${@:2}"
	jq -er '.. | objects | keys[]' <<<"$output" >>keys || complain "no JSON: $*"
}

# All that was noted, and what only an image too large for a test would show.
is_as_documented() { # COMMAND [KEY...]
	local seen documented
	seen=$(printf '%s\n' "${@:2}" | sort -u - keys | sed '/^$/d')
	documented=$(documented_keys "$1")
	[[ -n $documented ]] || complain "no keys are documented"
	diff <(echo "$documented") <(echo "$seen") >&2 || complain "documented (<) and seen (>) differ"
}

poke() { # FILE OFFSET BYTES
	printf '%b' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

disk() { # NAME
	qemu-img create -q -f qcow2 "$1" 1M
	qemu-io -f qcow2 -c 'write -q -P 1 0 128k' "$1"
}

@test "write" {
	disk disk.qcow2
	notes write disk.qcow2 --hex=55aa
	is_as_documented write
}

@test "decompress" {
	disk disk.qcow2
	notes decompress disk.qcow2
	is_as_documented decompress
}

@test "rebase" {
	disk disk.qcow2
	disk base.qcow2
	notes rebase -b base.qcow2 -F qcow2 disk.qcow2
	is_as_documented rebase
}

@test "snapshot-cow" {
	disk disk.qcow2
	qemu-img snapshot -c one disk.qcow2
	notes snapshot-cow list disk.qcow2
	notes snapshot-cow rename disk.qcow2 one two
	is_as_documented snapshot-cow
}

@test "hash" {
	disk disk.qcow2
	notes hash disk.qcow2
	is_as_documented hash
}

@test "compare" {
	disk disk.qcow2
	qemu-img create -q -f qcow2 other.qcow2 1M
	notes compare disk.qcow2 other.qcow2
	is_as_documented compare
}

@test "map" {
	disk disk.qcow2
	notes map disk.qcow2
	is_as_documented map
}

@test "check" {
	disk leaking.qcow2 # the cluster behind the last one has a refcount
	truncate -s 512k leaking.qcow2
	poke leaking.qcow2 $((0x20000 + 2 * 7)) '\0\1'
	notes check leaking.qcow2
	disk corrupt.qcow2 # the first cluster of data has none
	poke corrupt.qcow2 $((0x20000 + 2 * 5)) '\0\0'
	notes check corrupt.qcow2
	notes check -r all corrupt.qcow2
	notes check -r leaks leaking.qcow2
	qemu-img create -q -f qcow2 -o cluster_size=512 many.qcow2 8M # all of them leak: the L1 table is empty
	qemu-io -f qcow2 -c 'write -q -P 1 0 8M' many.qcow2
	dd if=/dev/zero of=many.qcow2 bs=1 seek=$((0x$(od -A n -t x1 -j 40 -N 8 many.qcow2 | tr -d ' '))) count=2048 \
		conv=notrunc status=none
	notes check many.qcow2
	qemu-img convert -c -O qcow2 leaking.qcow2 compressed.qcow2
	notes check compressed.qcow2
	is_as_documented check
}

@test "info" {
	disk base.qcow2
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 disk.qcow2
	qemu-img bitmap --add disk.qcow2 changes
	qemu-img snapshot -c one disk.qcow2
	notes info disk.qcow2
	echo "$output" >info.json
	qemu-img create -q -f qcow2 -o data_file=data,data_file_raw=on external.qcow2 1M
	notes info external.qcow2
	make_encrypted s -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 \
		-o encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256 luks.qcow2 1M
	notes info luks.qcow2
	# What a snapshot has is documented with the command that lists them.
	qcowtool snapshot-cow list --output=json disk.qcow2
	jq -r '.[] | keys[]' <<<"$output" >snapshot
	jq -r '.snapshots[] | keys[]' info.json | sort -u | diff - <(sort -u snapshot)
	grep -vxFf <(grep -vx -e name snapshot) keys >others
	mv others keys
	is_as_documented info
}

@test "recover" {
	local interrupted=${INTERRUPTED:-$(dirname "$QCOWTOOL")/../tests/interrupted}
	qemu-img create -q -f qcow2 base.qcow2 1M
	qcowtool create -q -b base.qcow2 -F qcow2 disk.qcow2
	"$QCOWTOOL" rebase -q -u -b base.qcow2 -F qcow2 disk.qcow2 # puts the name into the first sector
	qemu-io -f qcow2 -c 'write -q -P 1 0 1M' disk.qcow2
	"$interrupted" disk.qcow2 after
	notes recover disk.qcow2
	is_as_documented recover records-omitted
}

@test "every command with --output is held to its page" {
	local command
	for command in $("$QCOWTOOL" --help | awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }'); do
		"$QCOWTOOL" "$command" --help | grep -q -- --output || continue
		grep -q "is_as_documented $command\>" "$BATS_TEST_FILENAME" || complain "$command"
	done
}
