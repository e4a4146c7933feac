#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# check -r: what QEMU's repair can put right, ours can; nothing that can be read is lost.
# QCOWTOOL_REPAIRS=700 makes the comparison the long run.
# shellcheck shell=bash disable=SC2154

load ../../support/cli

bats_require_minimum_version 1.5.0

create() { # IMAGE OPTIONS [SIZE]
	qemu-img create -q -f qcow2 -o "$2" "$1" "${3:-8M}"
}

change() { # IMAGE COMMAND...
	local image=$1 arguments=()
	shift
	for command; do
		arguments+=(-c "$command")
	done
	qemu-io -f qcow2 "${arguments[@]}" "$image" >/dev/null
}

populate() { # IMAGE
	change "$1" "write -P 1 0 40k" "write -P 2 200k 30k" "write -c -P 3 1M 64k" \
		"write -z 2M 64k" || true
	qemu-img snapshot -c one "$1"
	change "$1" "write -P 4 10k 20k"
	qemu-img snapshot -c two "$1"
	change "$1" "write -P 5 100k 20k" "discard 0 32k"
}

# Findings go to stderr, so this is no success without a word.
repairs() { # OPTION... IMAGE
	qcowtool check "$@"
	[[ $status == 0 ]]
}

poke() { # IMAGE OFFSET BYTES
	printf '%b' "$3" | dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none
}

# The refcount block is the third cluster of a new image: 16 counts of its clusters go.
break_counts() { # IMAGE
	poke "$1" 0x20000 '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
}

@test "damaged images: where QEMU's repair gets to nothing wrong, ours does, and no data is lost" {
	local last=${QCOWTOOL_REPAIRS:-40}
	create v2 compat=0.10,cluster_size=4k
	create v3 cluster_size=4k
	create one refcount_bits=8,cluster_size=64k
	create extended extended_l2=on,cluster_size=16k
	create small cluster_size=512,refcount_bits=64
	create bitmaps cluster_size=4k
	qemu-img bitmap --add -g 512 bitmaps b0
	for image in v2 v3 one extended small bitmaps; do
		populate "$image"
	done
	create bits1 cluster_size=4k,refcount_bits=1
	change bits1 "write -P 1 0 40k" "write -P 2 200k 30k" "write -z 2M 64k"
	create prealloc cluster_size=4k,preallocation=metadata 1M
	change prealloc "write -z 0 64k" "write -P 1 128k 64k"
	python3 "$BATS_TEST_DIRNAME/repairs.py" "$QCOWTOOL" 1 "$last" \
		v2 v3 one extended small bitmaps bits1 prealloc >&2
}

@test "refcounts are made from nothing" {
	create image.qcow2 cluster_size=64k
	populate image.qcow2
	# Neither the table nor its blocks exist: the header names a place far beyond the file.
	poke image.qcow2 0x30 '\0\0\0\1\0\0\0\0'
	qcowtool check image.qcow2
	[[ $status == 2 ]]
	repairs -r all image.qcow2
	qemu-img check -f qcow2 image.qcow2
}

@test "a dirty image with lazy refcounts, all of them lost" {
	create image.qcow2 lazy_refcounts=on,cluster_size=64k
	change image.qcow2 "write -P 7 0 1M"
	break_counts image.qcow2
	poke image.qcow2 0x4f '\3'
	fails 1 write image.qcow2 --at=0 --hex=00
	repairs -r all image.qcow2
	qemu-img check -f qcow2 image.qcow2
	qemu-img info --output=json image.qcow2 |
		jq -e '."dirty-flag" == false and ."format-specific".data.corrupt == false'
	change image.qcow2 "read -P 7 0 1M"
}

@test "leaks: keys and status of qemu-img, and what is worse stays" {
	create image.qcow2 cluster_size=64k
	change image.qcow2 "write 0 128k" "discard 64k 64k"
	poke image.qcow2 $((0x20000 + 2 * 6)) '\0\1'
	cp image.qcow2 theirs.qcow2
	expected=$(qemu-img check -f qcow2 -r leaks --output=json theirs.qcow2)
	repairs -r leaks --output=json image.qcow2
	# What was written anew lies elsewhere, so the end may too.
	diff <(jq -S 'del(.filename, .["image-end-offset"])' <<<"$expected") \
		<(jq -S 'del(.filename, .["image-end-offset"], .findings)' <<<"$output") >&2
	json '.["leaks-fixed"] == 1 and (.findings | length == 1 and .[0].repaired)'
	# QEMU repairs in place, so the counts are still where they were.
	poke theirs.qcow2 0x20000 '\0\0'
	qcowtool check -r leaks theirs.qcow2
	[[ $status == 2 ]]
}

@test "corruptions: keys and status of qemu-img" {
	create image.qcow2 cluster_size=64k
	change image.qcow2 "write 0 512k"
	poke image.qcow2 $((0x20000 + 2 * 6)) '\0\0\0\3\0\2'
	cp image.qcow2 theirs.qcow2
	expected=$(qemu-img check -f qcow2 -r all --output=json theirs.qcow2 2>/dev/null)
	repairs -r all --output=json image.qcow2
	[[ $(jq '.corruptions, .leaks' <<<"$expected") == $(jq '.corruptions, .leaks' <<<"$output") ]]
	json '.["corruptions-fixed"] > 0 and .["leaks-fixed"] == 2'
}

@test "what cannot be repaired is left, said, and keeps the mark" {
	create image.qcow2 cluster_size=64k
	change image.qcow2 "write -P 7 0 512k"
	# The L1 table is the fourth cluster; a reserved bit in its entry.
	poke image.qcow2 0x30007 '\1'
	poke image.qcow2 0x4f '\2'
	cp image.qcow2 before
	qcowtool check -r all --output=json image.qcow2
	[[ $status == 2 ]]
	json '.findings | any(.id == "l1-reserved" and .repaired == false)'
	qemu-img info --output=json image.qcow2 | jq -e '."format-specific".data.corrupt'
	# Taking the bit back brings the data back: nothing was given away.
	poke image.qcow2 0x30007 '\0'
	repairs -r all image.qcow2
	change image.qcow2 "read -P 7 0 512k"
}

# The L2 table is the fifth cluster; a cluster set aside for zeroes is to lie 512 bytes further on.
put_out_of_line() { # IMAGE OFFSET-OF-ENTRY
	poke "$1" $(($2 + 6)) '\2'
	! "$QCOWTOOL" check -q "$1" 2>/dev/null
}

@test "clusters without data that are not aligned: cleared where QEMU's repair clears them" {
	local options entry
	for options in cluster_size=64k,8 cluster_size=64k,extended_l2=on,16; do
		entry=$((0x40000 + ${options##*,}))
		create image.qcow2 "${options%,*}"
		change image.qcow2 "write -P 7 0 64k" "write -P 8 64k 128k" "write -z 64k 64k"
		put_out_of_line image.qcow2 "$entry"
		cp image.qcow2 theirs.qcow2
		qemu-img check -q -f qcow2 -r all theirs.qcow2 2>/dev/null || true
		qemu-img check -q -f qcow2 theirs.qcow2
		repairs -r all image.qcow2
		qemu-img check -q -f qcow2 image.qcow2
		qemu-img compare -q image.qcow2 theirs.qcow2
		change image.qcow2 "read -P 7 0 64k" "read -P 0 64k 64k" "read -P 8 128k 64k"
	done
}

# The first L2 table is the snapshots', and the disk's, unless that wrote on.
@test "clusters without data that are not aligned, in snapshots" {
	local options entry who
	for options in cluster_size=64k,8 cluster_size=64k,extended_l2=on,16; do
		entry=$((0x40000 + ${options##*,}))
		for who in disk-and-one disk-and-two one two; do
			create image.qcow2 "${options%,*}"
			change image.qcow2 "write -P 7 0 64k" "write -P 8 64k 128k" "write -z 64k 64k"
			qemu-img snapshot -c one image.qcow2
			[[ $who != *two ]] || qemu-img snapshot -c two image.qcow2
			[[ $who == disk-* ]] || change image.qcow2 "write -P 9 192k 64k"
			put_out_of_line image.qcow2 "$entry"
			cp image.qcow2 theirs.qcow2
			qemu-img check -q -f qcow2 -r all theirs.qcow2 2>/dev/null || true
			qemu-img check -q -f qcow2 theirs.qcow2
			repairs -r all image.qcow2
			qemu-img check -q -f qcow2 image.qcow2
			qemu-img compare -q image.qcow2 theirs.qcow2
			qemu-img snapshot -a "${who##*-}" image.qcow2
			change image.qcow2 "read -P 7 0 64k" "read -P 0 64k 64k" "read -P 8 128k 64k"
		done
	done
}

@test "-n changes no byte and says what would be" {
	create image.qcow2 cluster_size=64k
	populate image.qcow2
	break_counts image.qcow2
	unchanged image.qcow2 "$QCOWTOOL" check -q -n -r all image.qcow2
	repairs -n -r all --output=json image.qcow2
	json '.["corruptions-fixed"] > 0'
}

@test "a killed repair leaves the image as it was, or repaired" {
	local done_ms before_ms round
	create source cluster_size=512 8M
	change source "write -P 1 0 8M"
	poke source 0x30 '\0\0\0\1\0\0\0\0'
	cp source image.qcow2
	before_ms=$(date +%s%3N)
	repairs -q -r all image.qcow2
	done_ms=$(($(date +%s%3N) - before_ms + 5))
	for round in {1..20}; do
		cp source image.qcow2
		timeout --foreground -s KILL "0.$(printf %03d $((done_ms * round / 20 % 1000)))" \
			"$QCOWTOOL" check -q -r all image.qcow2 2>/dev/null || true
		if ! qemu-img check -q -f qcow2 image.qcow2 2>/dev/null; then
			# As it was: the header that lost its refcounts, and all that it leads to.
			cmp -n 512 source image.qcow2
			repairs -q -r all image.qcow2
			qemu-img check -q -f qcow2 image.qcow2
		fi
		change image.qcow2 "read -P 1 0 8M"
	done
}

@test "a snapshot table far past the end of the file is replaced, and its place is not counted" {
	for options in cluster_size=512,refcount_bits=1 cluster_size=4k cluster_size=64k; do
		rm -f disk.qcow2
		create disk.qcow2 $options
		change disk.qcow2 "write -P 1 0 40k"
		poke disk.qcow2 60 '\0\0\0\x02\0\xe2\0\0\0\0\0\0' # two of them, all zeroes
		repairs -r all disk.qcow2
		qemu-img check -q disk.qcow2
		[[ $("$QCOWTOOL" read --at=39k --length=2 disk.qcow2 | od -An -tx1) == " 01 01" ]]
	done
}
