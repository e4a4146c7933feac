#!/usr/bin/env bats
# Progress on stderr, and what Ctrl-C does.

load ../../support/cli

number_at() { # FILE OFFSET
	dd if="$1" bs=1 skip="$2" count=8 status=none | basenc --base16
}

# Repeats the eight bytes at an offset.
repeat() { # FILE OFFSET TIMES
	yes "$(number_at "$1" "$2")" | head -n "$3" | tr -d '\n' | basenc -d --base16 |
		dd of="$1" bs=64k seek="$2" oflag=seek_bytes conv=notrunc status=none
}

# A disk of terabytes, each cluster of it the same one: whoever reads it is busy for long.
make_slow() { # slow.qcow2
	succeeds create -q slow.qcow2 4T
	succeeds write -q slow.qcow2 --at=0 --fill=7:64k
	local l1 l2
	l1=$((16#$(number_at slow.qcow2 40)))
	l2=$((16#$(number_at slow.qcow2 "$l1") & 0xfffffffffffe00))
	repeat slow.qcow2 "$l2" 8192
	repeat slow.qcow2 "$l1" 8192
}

# Starts qcowtool, with stderr to `lines`.
begin() { # ARGUMENT...
	"$QCOWTOOL" "$@" 2>lines 3>&- &
	pid=$!
}

# It ends with that status, in 20 s at most.
ends() { # STATUS
	local found=0 watch
	(sleep 20 && kill -KILL "$pid") 3>&- >/dev/null 2>&1 &
	watch=$!
	wait "$pid" || found=$?
	kill "$watch" 2>/dev/null || true
	[[ $found == "$1" ]] || complain "expected status $1, found $found" "$(cat lines)"
}

# Waits until the file holds the words, 20 s at most.
comes_up() { # FILE WORDS
	for _ in {1..200}; do
		! grep -qF -e "$2" "$1" || return 0
		sleep 0.1
	done
	complain "never in $1: $2" "$(cat "$1")"
}

@test "-p tells that all is done, on stderr, and leaves stdout alone" {
	succeeds create -q a.qcow2 3M
	for command in "hash a.qcow2" "compare a.qcow2 a.qcow2" "decompress a.qcow2" "read -o out a.qcow2"; do
		# shellcheck disable=SC2086
		qcowtool $command -p
		[[ $status == 0 ]] || complain "$command"
		one_error_line "${command%% *}"
		says "a.qcow2: 100.0 %, 3 MiB of 3 MiB, "
	done
	qcowtool hash -p --output=json a.qcow2
	json '.hash'
	qemu-img create -q -f qcow2 -b a.qcow2 -F qcow2 b.qcow2
	qcowtool rebase -p -b "" b.qcow2
	says "b.qcow2: 100.0 %"
	qcowtool read -p a.qcow2
	[[ $status == 0 ]]
	says "100.0 %"
}

@test "-q wins over -p" {
	succeeds create -q a.qcow2 3M
	succeeds hash -q -p a.qcow2
	prints ""
}

@test "a long run shows percent, amounts, rate and time left, and SIGUSR1 gets a line" {
	make_slow
	begin hash -j 1 slow.qcow2
	sleep 1.5
	[[ ! -s lines ]] # no terminal, and nobody asked
	kill -USR1 "$pid"
	comes_up lines " left"
	grep -qE '^qcowtool hash: slow.qcow2: [0-9]+\.[0-9] %, [0-9.]+ [KMGT]?i?B of 4 TiB, [0-9.]+ [KMGT]?i?B/s, [0-9:]+ left$' lines
	[[ $(wc -l <lines) == 1 ]]
	kill -INT "$pid"
	ends 1
	[[ $(tail -n 1 lines) == "qcowtool hash: slow.qcow2: interrupted: nothing has been changed" ]]
	[[ $(wc -l <lines) == 2 ]]
}

@test "on a terminal progress appears by itself and is gone in the end" {
	make_slow
	script -qec "timeout -s INT 3 '$QCOWTOOL' hash -j 1 slow.qcow2" typescript </dev/null >out || true
	grep -qF $'\r\033[K' out
	grep -qF " of 4 TiB, " out
	tail -n 1 out | grep -qF $'\r\033[Kqcowtool hash: slow.qcow2: interrupted'
}

@test "SIGUSR1 harms no command, whenever it comes" {
	succeeds create -q a.qcow2 1M
	run bash -c 'kill -USR1 $$; exec "$QCOWTOOL" info a.qcow2'
	[[ $status != 0 || $output == *a.qcow2* ]]
	for command in "info a.qcow2" "check a.qcow2" "hash a.qcow2"; do
		# shellcheck disable=SC2016,SC2086
		run env --block-signal=USR1 bash -c 'kill -USR1 $$; exec "$QCOWTOOL" "$@"' bash $command
		[[ $status == 0 ]] || complain "$command"
	done
}

@test "Ctrl-C while a result is written ends with a line and status 1" {
	succeeds create -q a.qcow2 1G
	mkfifo pipe
	bash -c 'exec sleep 30' <pipe 3>&- & # holds it open and takes nothing
	reader=$!
	begin read a.qcow2 >pipe
	sleep 0.5
	kill -USR1 "$pid"
	comes_up lines " of 1 GiB"
	kill -INT "$pid"
	ends 1
	grep -qx 'qcowtool read: interrupted: nothing has been changed' lines
	kill "$reader"
}

@test "compare that was interrupted has found no difference: its status is not 1" {
	make_slow
	qemu-img create -q -f qcow2 -b slow.qcow2 -F qcow2 other.qcow2
	cp slow.qcow2 copy.qcow2
	begin compare copy.qcow2 other.qcow2
	sleep 1
	kill -TERM "$pid"
	ends 4
	grep -qF 'interrupted: nothing has been changed' lines
}

@test "a rebase that was interrupted leaves the image as it was" {
	make_slow
	qemu-img create -q -f qcow2 -b slow.qcow2 -F qcow2 a.qcow2
	before=$(sha a.qcow2)
	begin rebase --no-sync -b "" a.qcow2
	sleep 1
	kill -INT "$pid"
	ends 1
	grep -qx 'qcowtool rebase: a.qcow2: interrupted: nothing has been changed' lines
	succeeds info a.qcow2
	is_clean a.qcow2
	[[ $before == "$(sha a.qcow2)" ]]
}

@test "write and create end with a line at 100 % when they are asked" {
	local rate='[0-9.]+ [KMGT]?i?B/s$'
	qcowtool create -p -o preallocation=full a.qcow2 8M
	[[ $status == 0 && $stderr =~ ^qcowtool\ create:\ a.qcow2:\ 100.0\ %,\ 8\ MiB\ of\ 8\ MiB,\ $rate ]] ||
		complain "no such line"
	head -c 1M /dev/urandom >part
	qcowtool write --progress a.qcow2 --at=0 --file=part --fill=7:2M --zero=1M
	[[ $status == 0 && $stderr =~ ^qcowtool\ write:\ a.qcow2:\ 100.0\ %,\ 3\ MiB\ of\ 3\ MiB,\ $rate ]] ||
		complain "no such line"
	# Those that succeed here say nothing on stderr.
	succeeds write -q --progress a.qcow2 --at=0 --file=part
	succeeds write a.qcow2 --at=0 --file=part
	fails 1 write --progress a.qcow2 --at=0 --expect=ff --file=part
	one_error_line write
}

@test "a long write tells how far it is, and leaves nothing when it is interrupted" {
	succeeds create -q a.qcow2 1T
	begin write a.qcow2 --at=0 --fill=7:64G
	sleep 1
	kill -USR1 "$pid"
	comes_up lines " left"
	grep -qE '^qcowtool write: a.qcow2: [0-9]+\.[0-9] %, [0-9.]+ [KMGT]?i?B of 64 GiB, [0-9.]+ [KMGT]?i?B/s, [0-9:]+ left$' lines
	kill -INT "$pid"
	ends 1
	[[ $(tail -n 1 lines) == "qcowtool write: a.qcow2: interrupted: nothing has been changed" ]]
	[[ $(stat -c %s a.qcow2) -lt 1048576 ]] || complain "not cut back"
	is_clean a.qcow2
}
