#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# check says what qemu-img check says. Differences that are meant: docs/CHECKS-DIFFERENCES.md.
# shellcheck shell=bash disable=SC2154

load ../../support/cli

bats_require_minimum_version 1.5.0

# The keys of both, without what only we have.
counters() {
	jq -S 'del(.findings, .["findings-omitted"])'
}

# Both referees say the same about the image: exit status, and JSON if qemu-img prints any.
agree() { # IMAGE
	local expected expected_status=0 ours status=0
	expected=$(qemu-img check -f qcow2 --output=json "$1" 2>/dev/null) || expected_status=$?
	ours=$("$QCOWTOOL" check --output=json "$1" 2>/dev/null) || status=$?
	if [[ $status != "$expected_status" ]]; then
		echo "$1: status $status, qemu-img says $expected_status" >&2
		return 1
	fi
	[[ -z $expected ]] || diff <(counters <<<"$expected") <(counters <<<"$ours") >&2
}

same_text() { # IMAGE
	diff <(qemu-img check -f qcow2 "$1" 2>/dev/null) <("$QCOWTOOL" check "$1" 2>/dev/null) >&2
}

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

# Plain, zero and compressed clusters, two snapshots and changes after them.
populate() { # IMAGE
	change "$1" "write -P 1 0 40k" "write -P 2 200k 30k" "write -c -P 3 1M 64k" \
		"write -z 2M 64k" || true
	qemu-img snapshot -c one "$1"
	change "$1" "write -P 4 10k 20k"
	qemu-img snapshot -c two "$1"
	change "$1" "write -P 5 100k 20k" "discard 0 32k"
}

@test "sound images of every version and cluster size" {
	for compat in 0.10 1.1; do
		for size in 512 4k 64k 2M; do
			create image.qcow2 "compat=$compat,cluster_size=$size"
			populate image.qcow2
			agree image.qcow2
			same_text image.qcow2
		done
	done
}

@test "sound images of every refcount width" {
	for bits in 1 2 4 8 16 32 64; do
		create image.qcow2 "refcount_bits=$bits,cluster_size=4k"
		change image.qcow2 "write 0 40k" "write -c 1M 64k" || true
		((bits < 8)) || qemu-img snapshot -c one image.qcow2
		agree image.qcow2
	done
}

@test "sound images of every other kind" {
	create zstd.qcow2 compression_type=zstd,cluster_size=4k
	populate zstd.qcow2
	create extended.qcow2 extended_l2=on,cluster_size=16k
	populate extended.qcow2
	create bitmaps.qcow2 cluster_size=4k
	qemu-img bitmap --add bitmaps.qcow2 b0
	qemu-img bitmap --add -g 512 bitmaps.qcow2 b1
	populate bitmaps.qcow2
	for how in metadata falloc full; do
		create "$how.qcow2" "preallocation=$how,cluster_size=4k"
	done
	create lazy.qcow2 lazy_refcounts=on
	populate lazy.qcow2
	create base.qcow2 cluster_size=4k
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2
	populate overlay.qcow2
	create external.qcow2 data_file=external.raw,cluster_size=4k
	change external.qcow2 "write 0 40k"
	create empty.qcow2 cluster_size=64k 0
	create odd.qcow2 cluster_size=64k 1000
	for image in *.qcow2; do
		agree "$image"
		same_text "$image"
	done
}

@test "an encrypted image is checked without its key, and found as with it" {
	local secret=secret,id=key,data=secret
	make_encrypted key -o encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10 luks.qcow2 1M
	qemu-img check --object "$secret" --output=json --image-opts \
		driver=qcow2,encrypt.key-secret=key,file.filename=luks.qcow2 >expected
	succeeds check --output=json luks.qcow2
	diff <(counters <expected | jq -S 'del(.filename)') \
		<(counters <<<"$output" | jq -S 'del(.filename)') >&2
}

@test "a missing backing file does not matter" {
	create base.qcow2 cluster_size=64k
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2
	rm base.qcow2
	succeeds check overlay.qcow2
}

@test "damaged images: 360 seeds over six images" {
	local sources=(v2 v3 one extended small bitmaps)
	create v2 compat=0.10,cluster_size=4k
	create v3 cluster_size=4k
	create one refcount_bits=8,cluster_size=64k
	create extended extended_l2=on,cluster_size=16k
	create small cluster_size=512,refcount_bits=64
	create bitmaps cluster_size=4k
	qemu-img bitmap --add -g 512 bitmaps b0
	qemu-img bitmap --add bitmaps b1
	for image in "${sources[@]}"; do
		populate "$image"
	done
	python3 "$BATS_TEST_DIRNAME/agrees.py" "$QCOWTOOL" 1 360 "${sources[@]}" >&2
}

@test "-p shows how far a check or a repair has come" {
	create image.qcow2 cluster_size=64k
	change image.qcow2 "write 0 128k"
	qcowtool check -p image.qcow2
	[[ $status == 0 && $stderr == "qcowtool check: image.qcow2: 100.0 %, "* ]]
	qcowtool check -p -r all image.qcow2
	[[ $status == 0 && $stderr == "qcowtool check: image.qcow2: 100.0 %, "* ]]
	succeeds check -p -q image.qcow2
}

@test "a leak alone is status 3, with corruption 2" {
	create image.qcow2 cluster_size=64k
	change image.qcow2 "write 0 128k" "discard 64k 64k"
	# The block of refcounts is the third cluster; the counts of cluster 6, which the
	# discard freed, and of the header.
	printf '\0\1' | dd of=image.qcow2 bs=1 seek=$((0x20000 + 2 * 6)) conv=notrunc status=none
	agree image.qcow2
	qcowtool check image.qcow2
	[[ $status == 3 ]]
	cp image.qcow2 both.qcow2
	printf '\0\0' | dd of=both.qcow2 bs=1 seek=$((0x20000)) conv=notrunc status=none
	agree both.qcow2
	qcowtool check --output=json both.qcow2
	[[ $status == 2 ]]
	json '.findings | any(.id == "refcount-too-low" and .severity == "corruption" and .host == 0)'
}

@test "notes change neither verdict nor status, and -q is silent" {
	create image.qcow2 cluster_size=64k
	printf '\3' | dd of=image.qcow2 bs=1 seek=$((0x4f)) conv=notrunc status=none
	agree image.qcow2
	qcowtool check image.qcow2
	[[ $status == 0 && $output == "No errors were found on the image."* ]]
	says "marked dirty"
	says "marked corrupt"
	succeeds check -q image.qcow2
	prints ""
}

@test "what is no image, and what cannot be walked, is status 1" {
	echo no image >file
	fails 1 check file
	create image.qcow2 cluster_size=64k
	printf '\1' | dd of=image.qcow2 bs=1 seek=$((0x2f)) conv=notrunc status=none
	agree image.qcow2
	qcowtool check --output=json image.qcow2
	[[ $status == 1 ]]
	json '.["check-errors"] == 1 and .findings[0].id == "header-l1-place"'
}

@test "options that make no sense together are refused, not ignored" {
	create image.qcow2 cluster_size=64k
	fails 64 check -r some image.qcow2
	fails 64 check -r all -U image.qcow2
	fails 64 check -r all --deep image.qcow2
	fails 64 check -n image.qcow2
	fails 64 check -j 0 image.qcow2
	fails 64 check
}

@test "the image is not changed" {
	create image.qcow2 cluster_size=64k
	unchanged image.qcow2 "$QCOWTOOL" check -q image.qcow2
}
