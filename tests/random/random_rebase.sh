#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Random chains, random overlays, random edits, snapshots and rebases: afterwards the guest contents are
# what they were, those of each snapshot too, and qemu-img finds nothing wrong. A pool of bases that
# resemble each other is made, then overlays move between them; after every 40 rebases there is a new
# pool. The folder is fastest on a tmpfs (TMPDIR): qemu-img waits for the disk. What the guest sees is
# noted once after each edit, so several rebases in a row must add up to nothing.
#
#	random_rebase.sh QCOWTOOL [COUNT [SEED [SECONDS]]]
set -euo pipefail
shopt -s nullglob

qcowtool=$(realpath "$1")
count=${2:-100}
RANDOM=${3:-1}
limit=${4:-0}
readonly qcowtool count limit
readonly unit=16384 # of which the contents are made
readonly rebases_a_pool=40 most_snapshots=3

pool=$(mktemp -d)
trap 'rm -rf "$pool"' EXIT
cd "$pool"

# Functions leave what they choose in $REPLY: in a subshell $RANDOM would not follow the seed.
pick() { # WORD...
	local words=("$@")
	REPLY=${words[RANDOM % $#]}
}

# Fills parts of a disk of so many units. The same offsets often get the same bytes, so that bases agree
# in part. Some commands fail, such as a compressed write where there is something: that is random, too.
edit() { # IMAGE FORMAT UNITS HOW-MANY OPTIONS...
	local image=$1 format=$2 size=$3 left=$4 at length arguments=()
	shift 4
	while ((left-- > 0)); do
		at=$((RANDOM % size * unit + (RANDOM % 3 ? 0 : RANDOM % 32 * 512)))
		pick 512 4096 65536
		length=$(((RANDOM % 6 + 1) * REPLY))
		((at + length <= size * unit)) || length=512
		pick "$@" "-P $((at / unit % 5 + 1))" "-P $((RANDOM % 3))"
		arguments+=(-c "write -q $REPLY $at $length")
	done
	qemu-io -f "$format" "${arguments[@]}" "$image" >/dev/null 2>&1 || true
}

pick_options() {
	case $((RANDOM % 6)) in
	0) pick 512 4096 65536 && REPLY=compat=0.10,cluster_size=$REPLY ;;
	1) pick 16k 64k 128k && REPLY=extended_l2=on,cluster_size=$REPLY ;;
	2) pick 4096 32k && REPLY=compression_type=zstd,cluster_size=$REPLY ;;
	*) pick 512 1024 4096 16k 64k 2M && REPLY=cluster_size=$REPLY ;;
	esac
}

pick_size() {
	REPLY=$((RANDOM % 60 + 4))
}

pick_base() { # also sets $format
	REPLY=base$((RANDOM % ${1:-8}))
	format=qcow2
	[[ $REPLY != base[01] ]] || format=raw
}

# base0 and base1 are raw, base2 to base6 lie on others, base7 stands alone.
make_pool() {
	local n format size options backing
	rm -rf "${pool:?}"/*
	for n in 0 1; do
		pick_size && size=$REPLY
		truncate -s $((size * unit + RANDOM % 2 * 1000)) base$n
		((n == 0)) || dd if=base0 of=base1 conv=notrunc status=none
		edit base$n raw "$size" 4
	done
	for n in 2 3 4 5 6 7; do
		pick_size && size=$REPLY
		pick_options && options=$REPLY
		pick_base $n
		backing=(-b "$REPLY" -F "$format")
		((n < 7)) || backing=()
		qemu-img create -q -f qcow2 -o "$options" "${backing[@]}" base$n $((size * unit))
		edit base$n qcow2 "$size" 5 "-z" "-c -P 4"
	done
}

make_overlay() {
	local format size options
	pick_size && size=$REPLY
	pick_options && options=$REPLY
	pick_base
	rm -f disk.qcow2 state*.raw
	qemu-img create -q -f qcow2 -o "$options" -b "$REPLY" -F "$format" disk.qcow2 $((size * unit))
	((RANDOM % 4 == 0)) ||
		edit disk.qcow2 qcow2 "$size" $((RANDOM % 6 + 1)) "-z" "-z -u" "-c -P 3"
	note_contents
}

note_contents() {
	qemu-img convert -f qcow2 -O raw disk.qcow2 disk.raw
}

edit_overlay() {
	local size
	size=$(($(stat -c %s disk.raw) / unit))
	edit disk.qcow2 qcow2 "$size" $((RANDOM % 3 + 1)) "-z" "-z -u"
	note_contents
}

# Version 2 cannot be resized once it has snapshots; that is random, too.
resize_overlay() {
	pick_size
	qemu-img resize -q --shrink -f qcow2 disk.qcow2 $((REPLY * unit)) >/dev/null 2>&1 || true
	note_contents
}

# Now and then the disk is what it was at an earlier snapshot, which is then shared with it.
take_snapshot() {
	local n=1
	while [[ -e state$n.raw ]]; do
		((++n))
	done
	((n <= most_snapshots)) || return 0
	qemu-img snapshot -q -c state$n disk.qcow2
	cp disk.raw state$n.raw
	((++snapshots))
}

return_to_snapshot() {
	local n=$((RANDOM % most_snapshots + 1))
	[[ -e state$n.raw ]] || return 0
	qemu-img snapshot -q -a state$n disk.qcow2
	cp state$n.raw disk.raw
}

drop_snapshot() {
	local n=$((RANDOM % most_snapshots + 1))
	[[ -e state$n.raw ]] || return 0
	qemu-img snapshot -q -d state$n disk.qcow2
	rm state$n.raw
}

change_overlay() {
	case $((RANDOM % 12)) in
	0 | 1 | 2 | 3) edit_overlay ;;
	4 | 5 | 6 | 7) take_snapshot && edit_overlay ;;
	8) take_snapshot && resize_overlay ;;
	9) return_to_snapshot ;;
	10) drop_snapshot ;;
	11) resize_overlay ;;
	esac
}

fail() { # WORDS
	echo "random_rebase: round $round: $*" >&2
	cp -r "$pool" "${TMPDIR:-/tmp}/qcow-random-rebase" || true
	exit 1
}

rebase() {
	local base format arguments=()
	pick_base && base=$REPLY
	((RANDOM % 6 == 0)) && base=
	((RANDOM % 3 == 0)) && arguments+=(-c)
	"$qcowtool" rebase -q --no-sync "${arguments[@]}" -b "$base" -F "$format" disk.qcow2 ||
		fail "rebase to '$base' ${arguments[*]} failed"
	compare "rebase to '$base' ${arguments[*]}"
}

compare() { # WORDS
	local state
	qemu-img compare -f qcow2 -F raw disk.qcow2 disk.raw >difference || fail "$*: $(<difference)"
	qemu-img check -q -f qcow2 disk.qcow2 || fail "$*: qemu-img check"
	for state in state*.raw; do
		compare_snapshot "${state%.raw}" "$@"
	done
}

# QEMU shows a snapshot as long as the disk is now: only what both have can be compared with that.
compare_snapshot() { # NAME WORDS
	local state=$1 shown noted
	shift
	qemu-img convert -f qcow2 -O raw -l "$state" disk.qcow2 shown.raw || fail "$*: no $state"
	shown=$(stat -c %s shown.raw)
	noted=$(stat -c %s "$state.raw")
	cmp -n $((shown < noted ? shown : noted)) "$state.raw" shown.raw ||
		fail "$*: $state differs for QEMU"
	"$qcowtool" read --snapshot="$state" disk.qcow2 | cmp "$state.raw" - ||
		fail "$*: $state differs"
	((++compared))
}

round=0 snapshots=0 compared=0
while ((round < count && (limit == 0 || SECONDS < limit))); do
	((round % rebases_a_pool)) || make_pool
	if ((round % 8 == 0)); then
		make_overlay
	elif ((RANDOM % 3)); then
		change_overlay
	fi
	rebase
	((++round))
done
echo "$round rebases, $snapshots snapshots, compared $compared times"
((count < 40 || compared > 0)) || fail "no snapshot was ever compared"
