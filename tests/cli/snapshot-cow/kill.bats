#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Killed at any moment, a verb leaves the old or the new image, and what a guest writes next harms no
# snapshot. (qemu-img snapshot -a, killed between two of its writes, leaves tables marked as the
# disk's own that a snapshot shares.)
# shellcheck disable=SC2154  # status, output and stderr are set by bats

load ../../support/cli

guest_writes() { # PATTERN
	local at commands=()
	for at in 0 300k 1M 2M 3M 5M 7M; do
		commands+=(-c "write -P $1 $at 12k")
	done
	qemu-io -t unsafe -f qcow2 "${commands[@]}" disk.qcow2 >/dev/null
}

# 64 tables; the snapshot shares most of them.
make_disk() {
	qemu-img create -q -f qcow2 -o cluster_size=1k,preallocation=metadata disk.qcow2 8M
	guest_writes 1
	qemu-img snapshot -c kept disk.qcow2
	guest_writes 2
	cp disk.qcow2 before.qcow2
}

snapshot_sha() { # NAME
	qemu-img convert -f qcow2 -O raw -l "snapshot.name=$1" disk.qcow2 seen.raw
	sha seen.raw
}

now_us() {
	echo "${EPOCHREALTIME/[.,]/}"
}

# Runs the verb on a fresh copy, and kills it after so many microseconds. Sets $killed.
kill_after() { # MICROSECONDS VERB ARGUMENT...
	local pid status=0
	cp before.qcow2 disk.qcow2
	"$QCOWTOOL" snapshot-cow "${@:2}" &
	pid=$!
	sleep "$(printf '0.%06d' "$1")"
	kill -9 "$pid" 2>/dev/null || true
	wait "$pid" || status=$?
	[[ $status == 0 || $status == 137 ]] || complain "snapshot-cow ended with $status"
	killed=$((status == 137))
}

# The snapshot and the disk are whole, and stay so when a guest writes.
look() { # DIGEST-OF-THE-SNAPSHOT DIGESTS-THAT-THE-DISK-MAY-HAVE...
	local snapshot=$1 disk
	shift
	is_clean disk.qcow2
	disk=$(guest_sha disk.qcow2)
	[[ " $* " == *" $disk "* ]] || complain "the disk is neither old nor new"
	[[ $(snapshot_sha kept) == "$snapshot" ]] || complain "the kill has damaged the snapshot"
	guest_writes 9
	is_clean disk.qcow2
	[[ $(snapshot_sha kept) == "$snapshot" ]] || complain "the guest has damaged the snapshot"
	succeeds recover disk.qcow2
	is_clean disk.qcow2
	succeeds check disk.qcow2
	[[ $(snapshot_sha kept) == "$snapshot" ]] || complain "recovery has damaged the snapshot"
}

# Kills the verb at moments from its first to its last.
kill_everywhere() { # TIMES VERB ARGUMENT...
	local times=$1 kept old new start whole kills=0 moment
	shift
	make_disk
	kept=$(snapshot_sha kept)
	old=$(guest_sha disk.qcow2)
	start=$(now_us)
	"$QCOWTOOL" snapshot-cow "$@"
	whole=$(($(now_us) - start))
	new=$(guest_sha disk.qcow2)
	for ((moment = 0; moment < times; moment++)); do
		kill_after $((whole * moment / times)) "$@"
		kills=$((kills + killed))
		look "$kept" "$old" "$new"
	done
	((kills > 0)) || skip "the verb was always faster than its end"
}

@test "a killed apply harms neither the disk nor the snapshot" {
	kill_everywhere "${QCOWTOOL_KILLS:-8}" apply disk.qcow2 kept
}

@test "a killed create harms neither the disk nor another snapshot" {
	kill_everywhere "${QCOWTOOL_KILLS:-3}" create disk.qcow2 another
}

@test "a killed delete harms neither the disk nor another snapshot" {
	make_disk
	"$QCOWTOOL" snapshot-cow create --no-sync disk.qcow2 another
	make_disk() { cp before.qcow2 disk.qcow2; }
	cp disk.qcow2 before.qcow2
	kill_everywhere "${QCOWTOOL_KILLS:-3}" delete disk.qcow2 another
}
