#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# rebase of images with internal snapshots: every one of them keeps its contents.
# shellcheck shell=bash disable=SC2154

load ../../support/cli
load bases

# Three states of a disk, two of which share their L2 tables when they are taken; then the disk goes on.
make_disk_with_snapshots() { # BASE OPTIONS SIZE
	rm -f disk.qcow2
	qemu-img create -q -f qcow2 -o "$2" -b "$1" -F "$(format_of "$1")" disk.qcow2 "$3"
	qemu-img snapshot -c empty disk.qcow2
	qemu-io -f qcow2 -c "write -q -P 6 200k 70k" -c "write -q -P 7 1100k 3k" disk.qcow2
	qemu-img snapshot -c first disk.qcow2
	qemu-img snapshot -c again disk.qcow2
	qemu-io -f qcow2 -c "write -q -z 600k 128k" -c "write -q -P 8 1300k 40k" disk.qcow2
	qemu-img snapshot -c third disk.qcow2
	qemu-io -f qcow2 -c "write -q -P 9 100k 8k" disk.qcow2
}

contents() { # SNAPSHOT...
	local snapshot
	"$QCOWTOOL" read disk.qcow2 | sha256sum
	for snapshot; do
		"$QCOWTOOL" read --snapshot="$snapshot" disk.qcow2 | sha256sum
	done
}

keeps_all() { # SNAPSHOTS ARGUMENT...
	local before snapshots
	read -ra snapshots <<<"$1"
	shift
	before=$(contents "${snapshots[@]}")
	succeeds rebase -q "$@" disk.qcow2
	[[ $(contents "${snapshots[@]}") == "$before" ]] || complain "contents changed: rebase $*"
	is_clean disk.qcow2
	succeeds check disk.qcow2
}

@test "every snapshot keeps its contents, whatever the base and the image" {
	local all="empty first again third"
	make_bases
	for options in compat=0.10 cluster_size=512 cluster_size=64k cluster_size=2M \
		extended_l2=on,cluster_size=16k extended_l2=on,cluster_size=128k; do
		for size in 1500k 4M; do
			make_disk_with_snapshots old.raw $options $size
			keeps_all "$all" -b new.qcow2 -F qcow2
			keeps_all "$all" -b old.qcow2 -F qcow2
			keeps_all "$all" -b ""
			keeps_all "$all" -b new.raw -F raw
			make_disk_with_snapshots new.qcow2 $options $size
			keeps_all "$all" -c -b old.raw -F raw
			keeps_all "$all" -c -b ""
			qemu-img snapshot -a first disk.qcow2
			qemu-io -f qcow2 -c "write -q -P 10 0 300k" -c "write -q -P 11 1M 200k" disk.qcow2
			qemu-img snapshot -d again disk.qcow2
			qemu-img snapshot -d empty disk.qcow2
			is_clean disk.qcow2
		done
	done
}

@test "what several snapshots lack is stored once" {
	make_bases
	make_disk_with_snapshots old.raw cluster_size=64k 2M
	succeeds rebase --output=json -b "" disk.qcow2
	# 700k at 0 and 600k at 1M are 11 and 10 clusters, one of which the last snapshot alone has.
	json '."clusters-allocated" <= 22'
	qemu-img create -q -f qcow2 -b old.raw -F raw disk.qcow2 2M
	qemu-img snapshot -c one disk.qcow2
	qemu-img snapshot -c two disk.qcow2
	succeeds rebase --output=json -b "" disk.qcow2
	json '."clusters-allocated" == 21 and ."l2-tables" == 1'
	is_clean disk.qcow2
}

@test "snapshots of a shorter and of a longer disk" {
	local size first second
	make_bases
	for options in cluster_size=512 cluster_size=64k extended_l2=on,cluster_size=32k; do
		for size in "700k 2500k" "1111k 1222k" "1M 3M" "64k 3333k"; do
			read -r first second <<<"$size"
			for change in "" --shrink; do
				rm -f disk.qcow2
				[[ -z $change ]] || read -r second first <<<"$size"
				qemu-img create -q -f qcow2 -o $options -b old.raw -F raw disk.qcow2 "$first"
				qemu-img snapshot -c empty disk.qcow2
				qemu-img resize -q $change disk.qcow2 "$second"
				keeps_all empty -b new.raw -F raw
				keeps_all empty -b ""
				qemu-img resize -q disk.qcow2 4M
				"$QCOWTOOL" read --at="$second" disk.qcow2 | tr -d '\0' | cmp - /dev/null ||
					complain "what lies past the end of the disk shows when it grows"
				qemu-img snapshot -a empty disk.qcow2
				is_clean disk.qcow2
			done
		done
	done
}

@test "--ignore-snapshots copies in for the disk alone" {
	local before
	make_bases
	make_disk_with_snapshots old.raw cluster_size=64k 2M
	before=$(contents)
	succeeds rebase --ignore-snapshots --output=json -b new.raw -F raw disk.qcow2
	[[ $(contents) == "$before" ]] || complain "contents changed"
	"$QCOWTOOL" read --snapshot=empty disk.qcow2 | cmp -n 2097152 - new.raw ||
		complain "the snapshot does not show the new base"
	is_clean disk.qcow2
	succeeds check disk.qcow2
}

@test "counts too narrow for sharing: every tree gets its own" {
	make_bases
	qemu-img create -q -f qcow2 -o refcount_bits=1 -b old.raw -F raw disk.qcow2 2M
	qemu-img snapshot -c one disk.qcow2
	keeps_all one -b new.raw -F raw
	keeps_all one -b ""
}
