#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Every command, whether it reads or writes, ends in a process that can open nothing. A preloaded
# canary tries at the very end.

load ../../support/cli

setup_file() {
	export CANARY=${QCOWTOOL%/cmd/qcowtool}/tests/libcanary.so
	[[ -e $CANARY ]] || {
		echo "no $CANARY: build it first" >&2
		return 1
	}
}

# What a command can still do at its end, and that it succeeded, in $sung.
listen() { # ARGUMENT...
	rm -f canary-was-here
	CANARY_FD=9 LD_PRELOAD=$CANARY "$QCOWTOOL" "$@" 9>song >out 2>err ||
		complain "failed: qcowtool $*" "$(<err)"
	sung=$(<song)
}

is_locked() { # ARGUMENT...
	listen "$@"
	[[ $sung == $'open fails\ncreate fails\nsocket fails\nexec fails' ]] ||
		complain "not locked down: qcowtool $*" "$sung"
}

is_free() { # ARGUMENT...
	listen "$@"
	[[ $sung == $'open works\ncreate works\nsocket works\nexec works' ]] ||
		complain "not free: qcowtool $*" "$sung"
}

make_images() {
	qemu-img create -q -f raw base.raw 4M
	qemu-img create -q -f raw other.raw 4M
	qemu-img create -q -f qcow2 -b base.raw -F raw disk.qcow2
	qemu-img create -q -f qcow2 plain.qcow2 4M
	qemu-io -c 'write -P 3 0 1M' plain.qcow2 >/dev/null
	qemu-img convert -c -O qcow2 plain.qcow2 packed.qcow2
	head -c 100000 /dev/urandom >source
}

needs_all_parts() {
	"$QCOWTOOL" --version | grep -qx 'sandbox: limits, landlock, seccomp' ||
		skip "no Landlock or no seccomp here"
}

@test "commands that read can open nothing once they have opened their files" {
	needs_all_parts
	make_images
	is_locked info disk.qcow2
	is_locked map disk.qcow2
	is_locked read --length=64k disk.qcow2
	is_locked check --deep -j 2 packed.qcow2
	is_locked hash -j 2 packed.qcow2
	is_locked hash disk.qcow2
	is_locked compare disk.qcow2 other.raw
	is_locked compare plain.qcow2 packed.qcow2
	is_locked snapshot-cow list plain.qcow2
}

@test "commands that write can open nothing once they have opened their files" {
	needs_all_parts
	make_images
	is_locked write disk.qcow2 --at=4k --file=source --zero=64k
	is_locked write --dry-run disk.qcow2 --text=x
	is_locked snapshot-cow create plain.qcow2 one
	is_locked snapshot-cow apply plain.qcow2 one
	is_locked snapshot-cow delete plain.qcow2 one
	is_locked rebase -b other.raw -F raw disk.qcow2
	is_locked rebase -u -b base.raw -F raw disk.qcow2
	is_locked decompress -j 2 packed.qcow2
	is_locked check -r all plain.qcow2
	is_locked check -r all --dry-run plain.qcow2
	is_locked recover plain.qcow2
	is_clean disk.qcow2 plain.qcow2 packed.qcow2
}

@test "a repair that has something to do is locked down, too" {
	needs_all_parts
	make_images
	printf '\0\0' | dd of=plain.qcow2 bs=1 seek=131072 conv=notrunc status=none
	is_locked check -r all plain.qcow2
	is_clean plain.qcow2
}

@test "new files are made and get their names from a process that can open nothing" {
	needs_all_parts
	make_images
	is_locked create new.qcow2 1G
	is_locked create --force new.qcow2 2G
	is_locked create -b base.raw -F raw over.qcow2
	mkdir deeper
	is_locked create deeper/new.qcow2 1G
	is_locked create -o data_file=data.raw external.qcow2 1G
	is_locked create -o data_file=deeper/data.raw external2.qcow2 1G
	[[ -s data.raw && -s deeper/data.raw ]]
	is_locked read -o out.raw plain.qcow2
	is_locked read -o out.raw plain.qcow2
	is_locked map --svg=out.svg plain.qcow2
	cmp -n 1048576 out.raw <(head -c 1048576 /dev/zero | tr '\0' '\3')
	is_clean new.qcow2 over.qcow2 deeper/new.qcow2
}

@test "a script that names a thousand files finds all of them open" {
	make_images
	for ((i = 0; i < 1500; i++)); do
		echo "file source$((i % 3))"
	done >script
	for i in 0 1 2; do echo "line $i" >source$i; done
	(ulimit -S -n 64 && "$QCOWTOOL" write -q --script=script plain.qcow2)
	[[ $("$QCOWTOOL" read --length=21 plain.qcow2) == $'line 0\nline 1\nline 2' ]]
}

@test "--no-sandbox leaves the process free" {
	make_images
	is_free info --no-sandbox disk.qcow2
	is_free hash --no-sandbox disk.qcow2
	is_free compare --no-sandbox disk.qcow2 other.raw
	is_free write --no-sandbox disk.qcow2 --text=x
	is_free snapshot-cow --no-sandbox create plain.qcow2 one
	is_free rebase --no-sandbox -b other.raw -F raw disk.qcow2
	is_free decompress --no-sandbox packed.qcow2
	is_free check --no-sandbox -r all plain.qcow2
	is_free recover --no-sandbox plain.qcow2
	is_free create --no-sandbox new.qcow2 1G
	is_free read --no-sandbox -o out.raw plain.qcow2
	is_free map --no-sandbox --svg=out.svg plain.qcow2
}
