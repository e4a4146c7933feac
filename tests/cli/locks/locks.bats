#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Neither we nor QEMU touch an image that the other one holds in a way that conflicts.
#
# $HOLD_LOCK is the program made from hold_lock.c; by default it lies beside the tests of the build
# that $QCOWTOOL comes from. The tests of qcowtool itself need $QCOWTOOL.
# shellcheck shell=bash disable=SC2154,SC2030,SC2031

load ../../support/cli

setup() {
	HOLD_LOCK=${HOLD_LOCK:-$(dirname "${QCOWTOOL:-.}")/../tests/hold_lock}
	[[ -x $HOLD_LOCK ]] || {
		echo "HOLD_LOCK must be the path of the program made from hold_lock.c" >&2
		return 1
	}
	cd "$BATS_TEST_TMPDIR" || return 1
	qemu-img create -q -f qcow2 base.qcow2 1M
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 image.qcow2
	holder=
}

teardown() {
	release
}

# Waits until the holder has printed a line with WORD.
holder_says() { # WORD
	local line
	while read -r -t 20 line <&"${HOLDER[0]}"; do
		[[ $line != *"$1"* ]] || return 0
		echo "holder: $line" >&2
	done
	complain "the holder did not say $1"
}

release() {
	local pid=$holder
	holder=
	[[ -n $pid ]] || return 0
	kill "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
}

# QEMU with the image open; it answers a first command once the image is.
qemu_holds() { # QEMU-IO-ARGUMENT...
	coproc HOLDER { exec qemu-io "$@" 2>&1; }
	holder=$HOLDER_PID
	echo length >&"${HOLDER[1]}"
	holder_says MiB
}

we_hold() { # MODE FILE
	coproc HOLDER { exec "$HOLD_LOCK" "$@" 2>&1; }
	holder=$HOLDER_PID
	holder_says ready
}

lock_is_refused() { # MODE FILE
	run "$HOLD_LOCK" "$@" </dev/null
	[[ $status == 1 && ${#lines[@]} == 1 && $output == *'lock; is another process using'* ]] ||
		complain "expected refusal: $*"
}

lock_is_granted() { # MODE FILE
	run "$HOLD_LOCK" "$@" </dev/null
	[[ $status == 0 && $output == ready ]] || complain "expected success: $*"
}

qemu_is_refused() { # QEMU-IO-ARGUMENT...
	run qemu-io "$@"
	[[ $status != 0 && $output == *'Failed to get'*'lock'* ]] || complain "expected refusal: $*"
}

qemu_is_granted() { # QEMU-IO-ARGUMENT...
	run qemu-io "$@"
	[[ $status == 0 && $output != *'Failed to get'* ]] || complain "expected success: $*"
}

# The locks alone, both ways.

@test "a machine that may write keeps our readers and writers out, but not -U" {
	qemu_holds image.qcow2
	lock_is_refused write image.qcow2
	lock_is_refused read image.qcow2
	lock_is_granted force image.qcow2
	release
	lock_is_granted write image.qcow2
}

@test "a machine that only reads keeps our writers out" {
	qemu_holds -r image.qcow2
	lock_is_refused write image.qcow2
	lock_is_granted read image.qcow2
}

@test "a forced reader of QEMU keeps our writers out" {
	qemu_holds -r -U image.qcow2
	lock_is_refused write image.qcow2
	lock_is_granted read image.qcow2
}

@test "a backing file in use can be read and not written" {
	qemu_holds image.qcow2
	lock_is_refused write base.qcow2
	lock_is_granted read base.qcow2
}

@test "qemu-nbd keeps our readers and writers out" {
	coproc HOLDER { exec qemu-nbd -f qcow2 -t -k "$PWD/socket" image.qcow2 2>&1; }
	holder=$HOLDER_PID
	for ((i = 0; i < 100; i++)); do
		[[ ! -S socket ]] || break
		sleep 0.1
	done
	[[ -S socket ]]
	lock_is_refused write image.qcow2
	lock_is_refused read image.qcow2
}

@test "our writer keeps every QEMU out" {
	we_hold write image.qcow2
	qemu_is_refused -c length image.qcow2
	qemu_is_refused -r -c length image.qcow2
	lock_is_refused read image.qcow2
	lock_is_refused write image.qcow2
	lock_is_granted force image.qcow2
	release
	qemu_is_granted -c length image.qcow2
}

@test "our writer of a backing file keeps every QEMU out" {
	we_hold write base.qcow2
	qemu_is_refused -c length image.qcow2
	qemu_is_refused -r -c length image.qcow2
}

@test "our reader lets QEMU read and not write" {
	we_hold read image.qcow2
	qemu_is_refused -c length image.qcow2
	qemu_is_granted -r -c length image.qcow2
	lock_is_granted read image.qcow2
	lock_is_refused write image.qcow2
}

@test "our forced reader lets QEMU do everything" {
	we_hold force image.qcow2
	qemu_is_granted -c length image.qcow2
	qemu_is_granted -r -c length image.qcow2
	lock_is_refused write image.qcow2
}

@test "a writer that is killed leaves no lock behind" {
	we_hold write image.qcow2
	kill -KILL "$holder"
	wait "$holder" || :
	holder=
	lock_is_granted write image.qcow2
	qemu_is_granted -c length image.qcow2
}

# The program itself.

needs_qcowtool() {
	[[ -x ${QCOWTOOL:-} ]] || skip "QCOWTOOL is not set"
}

@test "qcowtool neither writes nor reads what a machine writes, except with -U" {
	needs_qcowtool
	qemu_holds image.qcow2
	fails 1 write --at=0 --zero=4k image.qcow2
	says 'lock; is another process using the image?'
	fails 1 read --length=512 -o out image.qcow2
	says 'lock; is another process using the image?'
	succeeds read -U --length=512 -o out image.qcow2
	[[ $(stat -c %s out) == 512 ]]
}

@test "qcowtool reads what a machine reads, and does not write it" {
	needs_qcowtool
	qemu_holds -r image.qcow2
	unchanged image.qcow2 fails 1 write --at=0 --zero=4k image.qcow2
	says 'lock; is another process using the image?'
	succeeds read --length=512 -o out image.qcow2
	[[ $(stat -c %s out) == 512 ]]
}

@test "qcowtool reads a backing file in use, and does not write it" {
	needs_qcowtool
	qemu_holds image.qcow2
	unchanged base.qcow2 fails 1 write --at=0 --zero=4k base.qcow2
	succeeds read --length=512 -o out base.qcow2
	[[ $(stat -c %s out) == 512 ]]
}
