# SPDX-License-Identifier: MIT
# Rebase and flatten beside qemu-img rebase, syncs in both; for a machine that has nothing else to do.
#
#	QCOWTOOL=build/plain/cmd/qcowtool bash rebase.sh FOLDER [RUNS]
#
# FOLDER takes 9 GiB, which should fit into memory twice: everything is read from the page cache.
set -euo pipefail

qcowtool=$(realpath "${QCOWTOOL:?}")
work=$(mktemp -d "$(realpath "$1")/rebase.XXXXXX")
runs=${2:-5}
trap 'rm -rf "$work"' EXIT
cd "$work"

# 2 GiB, and the same but for 512 bytes in each of 2000 places.
make_bases() {
	local n
	head -c 2G /dev/urandom >old.raw
	cp old.raw new.raw
	RANDOM=1
	for ((n = 0; n < 2000; n++)); do
		head -c 512 /dev/urandom |
			dd of=new.raw bs=512 seek=$((RANDOM * 128 + RANDOM % 128)) conv=notrunc status=none
	done
	qemu-img convert -f raw -O qcow2 old.raw old.qcow2
	qemu-img convert -f raw -O qcow2 new.raw new.qcow2
	rm old.raw new.raw
	sync
}

seconds() { # COMMAND...
	local TIMEFORMAT=%R
	{ time "$@" >/dev/null; } 2>&1
}

turn() { # ROW ARGUMENT...
	local row=$1
	shift
	rm -f ours.qcow2 theirs.qcow2
	qemu-img create -q -f qcow2 -b old.qcow2 -F qcow2 ours.qcow2
	qemu-img create -q -f qcow2 -b old.qcow2 -F qcow2 theirs.qcow2
	sync
	seconds "$qcowtool" rebase -q "$@" ours.qcow2 >>"$row.ours"
	sync
	seconds qemu-img rebase -t writeback -f qcow2 "$@" theirs.qcow2 >>"$row.theirs"
}

middle() { # FILE
	sort -n "$1" | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'
}

make_bases
for ((i = 0; i < runs; i++)); do
	turn rebase -b new.qcow2 -F qcow2
	turn flatten -b ""
done
for row in rebase flatten; do
	awk -v row=$row -v a="$(middle $row.ours)" -v b="$(middle $row.theirs)" \
		'BEGIN { printf "%-8s ours %6.2f s  qemu-img %6.2f s  %5.2f times as fast\n", row, a, b, b / a }'
done
