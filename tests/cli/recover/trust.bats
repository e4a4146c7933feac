#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What `recover` says is so. The states are made by the program of interrupted.c, see recover.bats.
# shellcheck shell=bash disable=SC2154,SC2030,SC2031

load ../../support/cli

setup() {
	INTERRUPTED=${INTERRUPTED:-$(dirname "${QCOWTOOL:-.}")/../tests/interrupted}
	[[ -x $INTERRUPTED ]] || {
		echo "INTERRUPTED must be the path of the program made from interrupted.c" >&2
		return 1
	}
	cd "$BATS_TEST_TMPDIR" || return 1
	qemu-img create -q -f qcow2 disk.qcow2 1M
	qemu-io -c 'write -q -P 0x11 0 512k' disk.qcow2
}

mark() { # INCOMPATIBLE-FEATURES-BYTE, as qemu sets it
	printf '%b' "\\x$1" | dd of=disk.qcow2 bs=1 seek=79 conv=notrunc status=none
}

@test "digests are hex strings in JSON, of 64 bits" {
	"$INTERRUPTED" disk.qcow2 before
	succeeds recover -n --output=json disk.qcow2
	json '.records | length > 2 and all(.digest | type == "string" and test("^0x[0-9a-f]{16}$"))'
	json '[.records[] | select(.kind != "freed") | .digest] | all(. != "0x0000000000000000")'
}

@test "settled is said only of what was settled" {
	for state in before after; do
		qemu-img create -q -f qcow2 disk.qcow2 1M
		qemu-io -c 'write -q -P 0x11 0 512k' disk.qcow2
		"$INTERRUPTED" disk.qcow2 $state
		cp disk.qcow2 whole.qcow2
		unchanged disk.qcow2 succeeds recover -n --output=json disk.qcow2
		json '.settled == false'
		mark 01
		before=$(sha disk.qcow2)
		qcowtool recover --output=json disk.qcow2
		[[ $status == 1 && $(sha disk.qcow2) == "$before" ]] || complain "a dirty image was settled"
		json '.state != "clean" and .settled == false'
		one_error_line recover
		says "must be repaired first"
		qcowtool recover disk.qcow2
		[[ $status == 1 && $output != *settled* ]] || complain "said to be settled"
		cp whole.qcow2 disk.qcow2
		succeeds recover --output=json disk.qcow2
		json '.settled == true'
		succeeds recover --output=json disk.qcow2
		json '.settled == false and .state == "clean"'
	done
}

@test "nothing is given back in a dirty or corrupt image, and a corrupt one is not written to" {
	"$INTERRUPTED" disk.qcow2 after
	cp disk.qcow2 whole.qcow2
	for bits in 01 02 03; do
		cp whole.qcow2 disk.qcow2
		mark $bits
		unchanged disk.qcow2 fails 1 recover -q disk.qcow2
		[[ $bits == 01 ]] || unchanged disk.qcow2 fails 1 write disk.qcow2 --hex=01
	done
}

@test "a file that is no image is an error, not clean" {
	head -c 100k /dev/zero >zeroes
	printf 'just text\n' >text
	: >empty
	for file in zeroes text empty; do
		for output in human json; do
			unchanged $file fails 1 recover --output=$output $file
			says "$file"
		done
	done
}
