#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Killed at any moment: no disk changes, and a second run ends in the bytes that there would have been.

load ../../support/cli
load contents

make_image() {
	seq 1 1500000 | head -c 8M >source.raw
	qemu-img convert -c -f raw -O qcow2 -o cluster_size=4k source.raw whole.qcow2
	qemu-img snapshot -c one whole.qcow2
	qemu-io -c "write -P 7 100k 64k" whole.qcow2 >/dev/null
	cp whole.qcow2 disk.qcow2
	remember_contents
}

# Runs decompress until it ends or the signal ends it; its status.
stopped_by() { # SIGNAL DELAY OPTION...
	local signal=$1 delay=$2 pid
	shift 2
	"$QCOWTOOL" decompress -q "$@" disk.qcow2 2>/dev/null 3>&- &
	pid=$!
	sleep "$delay"
	kill -"$signal" "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null
}

# Kills decompress again and again, each time a little later, and then lets it finish.
killed_often() { # OPTION...
	local delay killed=0
	cp whole.qcow2 disk.qcow2
	succeeds decompress -q "$@" disk.qcow2
	mv disk.qcow2 expected.qcow2
	for delay in 0.004 0.008 0.012 0.02 0.03 0.04 0.06 0.09; do
		cp whole.qcow2 disk.qcow2
		for _ in 1 2 3; do
			stopped_by KILL "$delay" "$@" || killed=$((killed + 1))
			is_clean disk.qcow2
		done
		same_contents "killed after $delay s"
		"$QCOWTOOL" decompress -q "$@" disk.qcow2
		cmp disk.qcow2 expected.qcow2
	done
	[[ $killed -gt 3 ]] || complain "killed only $killed times"
}

@test "killed in the middle of one transaction" {
	make_image
	killed_often
}

@test "killed in the middle of many transactions" {
	make_image
	killed_often --batch=512k
}

@test "a signal undoes the transaction under way, and keeps those before" {
	make_image
	stopped_by TERM 0.02 || cmp disk.qcow2 whole.qcow2
	cp whole.qcow2 disk.qcow2
	stopped_by TERM 0.03 --batch=128k || true
	is_clean disk.qcow2
	same_contents "interrupted"
}
