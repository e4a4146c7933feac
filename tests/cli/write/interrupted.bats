#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A write that is stopped in the middle: by a kill, and by Ctrl-C.
# shellcheck shell=bash disable=SC2154,SC2030,SC2031

load ../../support/cli

# Starts a write that does not end before the pipe does, and lets it get into the transaction.
start_writing() {
	qemu-img create -q -f qcow2 disk.qcow2 4G
	qemu-io -c 'write -q -P 0x11 0 1M' disk.qcow2
	old_guest=$("$QCOWTOOL" read --length=32M disk.qcow2 | sha256sum)
	old_bytes=$(stat -c %s disk.qcow2)
	old_sha=$(sha disk.qcow2)
	"$QCOWTOOL" write -q disk.qcow2 --fill=0x22:3G 2>stderr 3>&- &
	writer=$!
	for ((i = 0; i < 400; i++)); do
		[[ $(stat -c %s disk.qcow2) == "$old_bytes" ]] || return 0
		sleep 0.01
	done
	complain "the write did not begin"
}

end_with() { # SIGNAL
	kill -s "$1" "$writer"
	ended=0
	wait "$writer" || ended=$?
}

@test "a write that is killed leaves the old image, sound, and the next one settles it" {
	start_writing
	end_with KILL
	[[ $ended == 137 ]]
	is_clean disk.qcow2
	[[ $("$QCOWTOOL" read --length=32M disk.qcow2 | sha256sum) == "$old_guest" ]]
	qcowtool recover disk.qcow2
	[[ $status == 0 ]]
	is_clean disk.qcow2
	qcowtool write disk.qcow2 --at=5 --hex=77
	[[ $status == 0 ]]
	is_clean disk.qcow2
	[[ $(stat -c %s disk.qcow2) -lt $((old_bytes * 2)) ]]
	[[ $("$QCOWTOOL" read --length=6 disk.qcow2 | od -An -tx1) == " 11 11 11 11 11 77" ]]
}

@test "Ctrl-C leaves every byte" {
	start_writing
	end_with TERM # a shell's background jobs ignore INT; both are caught alike
	[[ $ended == 1 ]]
	[[ $(<stderr) == "qcowtool write: disk.qcow2: interrupted: nothing has been changed" ]]
	[[ $(sha disk.qcow2) == "$old_sha" ]]
}
