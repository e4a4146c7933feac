#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What decompress makes of images of all kinds: the same contents, and nothing compressed.

load ../../support/cli
load contents

# Text that compresses, noise that does not, zeroes and blanks.
make_source() { # FILE BYTES
	{
		seq 1 60000
		head -c 100000 /dev/urandom
		head -c 200000 /dev/zero
		seq 900000 1000000
	} | head -c "$2" >"$1"
	truncate -s "$2" "$1"
}

compressed_image() { # BYTES OPTION...
	make_source source.raw "$1"
	rm -f disk.qcow2
	qemu-img convert -c -f raw -O qcow2 -o "$2" source.raw disk.qcow2
}

@test "every cluster size, version, compression and refcount width" {
	local options
	for options in compat=0.10,cluster_size=512 compat=0.10 cluster_size=512,refcount_bits=64 \
		cluster_size=4k,refcount_bits=8 cluster_size=4k,compression_type=zstd \
		cluster_size=64k,compression_type=zstd,refcount_bits=32 cluster_size=2M \
		cluster_size=2M,compression_type=zstd extended_l2=on,cluster_size=16k \
		extended_l2=on,cluster_size=128k,compression_type=zstd; do
		compressed_image 3M "$options"
		keeps_contents "$options"
		qemu-img compare -q -f raw -F qcow2 source.raw disk.qcow2
	done
}

@test "counts of one bit, where clusters cannot share a host cluster" {
	for bits in 1 2; do
		qemu-img create -q -f qcow2 -o refcount_bits=$bits,cluster_size=4k disk.qcow2 1M
		for i in 0 1 2 3 4 5; do
			qemu-io -c "write -c -P $((i + 1)) $((i * 4))k 4k" disk.qcow2 >/dev/null
		done
		keeps_contents "$bits bits"
	done
}

@test "snapshots that share clusters share them afterwards" {
	for options in cluster_size=4k compat=0.10,cluster_size=4k cluster_size=512 \
		extended_l2=on,cluster_size=16k compression_type=zstd; do
		compressed_image 2M "$options"
		qemu-img snapshot -c one disk.qcow2
		qemu-io -c "write -P 7 100k 64k" -c "write -P 8 1000k 4k" disk.qcow2 >/dev/null
		qemu-img snapshot -c two disk.qcow2
		qemu-io -c "write -P 9 128k 200k" -c "discard 512k 128k" disk.qcow2 >/dev/null
		qemu-img snapshot -c three disk.qcow2
		qemu-img snapshot -a one disk.qcow2
		succeeds write -q -c --at=1M --fill=10:64k disk.qcow2
		keeps_contents "$options"
		# Once for all: the snapshots' plain clusters lie where the disk's do.
		[[ $("$QCOWTOOL" map --output=json --snapshot=one disk.qcow2 | jq '[.[] | select(.data) | .offset] | min') == \
			$("$QCOWTOOL" map --output=json --snapshot=two disk.qcow2 | jq '[.[] | select(.data) | .offset] | min') ]]
		# ... and what is shared is still copied before it is written to.
		qemu-io -c "write -P 11 0 1M" disk.qcow2 >/dev/null
		is_clean disk.qcow2
		same_snapshots
	done
}

@test "a shared cluster is expanded once" {
	compressed_image 2M cluster_size=4k
	succeeds decompress -n --output=json disk.qcow2
	expected=$(jq '."clusters-expanded"' <<<"$output")
	for name in one two three; do
		qemu-img snapshot -c $name disk.qcow2
		qemu-io -c "write -P 7 64k 4k" disk.qcow2 >/dev/null
	done
	succeeds decompress --output=json disk.qcow2
	json ".\"clusters-expanded\" == $expected"
}

@test "over a backing file, with and without zero clusters" {
	make_source base.raw 2M
	for options in compat=0.10 compat=1.1 compat=1.1,cluster_size=4k \
		extended_l2=on,cluster_size=16k; do
		rm -f disk.qcow2
		qemu-img create -q -f qcow2 -b base.raw -F raw -o "$options" disk.qcow2 3M
		qemu-io -c "write -c -P 3 64k 64k" -c "write -c -P 0 192k 128k" -c "write -P 5 512k 10k" \
			-c "write -c -P 0 2M 256k" disk.qcow2 >/dev/null
		keeps_contents "$options"
	done
}

@test "zeroes become zero clusters" {
	qemu-img create -q -f qcow2 disk.qcow2 4M
	qemu-io -c "write -c -P 0 1M 1M" -c "write -c -P 1 2M 64k" disk.qcow2 >/dev/null
	keeps_contents plain
	json '."clusters-expanded" == 17 and ."zero-clusters" == 16 and ."bytes-written" == 65536'
	qemu-img map --output=json disk.qcow2 | jq -e '[.[] | select(.data)] | length == 1'
	qemu-img create -q -f qcow2 -o compat=0.10 disk.qcow2 4M
	qemu-io -c "write -c -P 0 1M 1M" disk.qcow2 >/dev/null
	keeps_contents v2
	json '."zero-clusters" == 16 and ."bytes-written" == 0'
}

@test "what is freed is given back, and the file is cut" {
	local blocks
	compressed_image 3M cluster_size=64k
	succeeds decompress -q disk.qcow2
	blocks=$(($(stat -c %b disk.qcow2) * 512))
	[[ $blocks -lt 3800000 ]] || complain "$blocks bytes are occupied"
	[[ $(stat -c %s disk.qcow2) == $(qemu-img check --output=json disk.qcow2 | jq '."image-end-offset"') ]]
	succeeds recover disk.qcow2
}

@test "a range of the disk" {
	compressed_image 2M cluster_size=4k
	qemu-img snapshot -c one disk.qcow2
	remember_contents
	succeeds decompress -q --at=1M --length=8k disk.qcow2
	is_clean disk.qcow2
	same_contents range
	"$QCOWTOOL" map --output=json disk.qcow2 | jq -e '.[] | select(.start == 1048576) |
		.compressed == false and .data and .length == 8192'
	"$QCOWTOOL" map --output=json --snapshot=one disk.qcow2 | jq -e '.[] | select(.start == 1048576) |
		.compressed == false and .data and .length == 8192'
	succeeds decompress --output=json --at=1M --length=8k disk.qcow2
	json '."clusters-expanded" == 0 and .transactions == 0'
	unchanged disk.qcow2 fails 1 decompress --at=2M --length=1 disk.qcow2
	says "past the end of the disk"
	unchanged disk.qcow2 succeeds decompress -q --at=2M disk.qcow2
	unchanged disk.qcow2 fails 1 decompress --at=3M disk.qcow2
	keeps_contents rest
}

@test "batches end in the same contents, and nothing is left to do" {
	for options in cluster_size=512 cluster_size=4k cluster_size=64k; do
		compressed_image 2M "$options"
		qemu-img snapshot -c one disk.qcow2
		succeeds write -q -c --at=1M --fill=10:64k disk.qcow2
		keeps_contents "$options" --batch=256k
		json '.transactions >= 5'
		unchanged disk.qcow2 succeeds decompress --output=json --batch=256k disk.qcow2
		json '."clusters-expanded" == 0 and .transactions == 0'
	done
}

@test "the number of threads changes nothing" {
	compressed_image 3M cluster_size=4k
	cp disk.qcow2 one.qcow2
	cp disk.qcow2 many.qcow2
	succeeds decompress -q disk.qcow2
	succeeds decompress -q -j1 one.qcow2
	succeeds decompress -q --jobs=7 many.qcow2
	cmp disk.qcow2 one.qcow2
	cmp disk.qcow2 many.qcow2
}

@test "-n does all of it but the commit" {
	compressed_image 2M cluster_size=4k
	unchanged disk.qcow2 succeeds decompress -n --batch=256k --output=json disk.qcow2
	json '.committed == false and ."clusters-expanded" > 200 and .transactions > 3'
}

@test "a broken stream is named, and every byte stays" {
	compressed_image 1M cluster_size=4k
	qemu-img snapshot -c "old one" disk.qcow2
	break_first_stream disk.qcow2
	unchanged disk.qcow2 fails 1 decompress disk.qcow2
	says "guest range 0x0-0x1000"
	says "compressed data"
	unchanged disk.qcow2 fails 1 decompress --batch=64k disk.qcow2
	unchanged disk.qcow2 fails 1 decompress -n disk.qcow2
	qemu-io -c "write -P 1 0 4k" disk.qcow2 >/dev/null
	unchanged disk.qcow2 fails 1 decompress disk.qcow2
	says "snapshot 'old one', guest range 0x0-0x1000"
	succeeds decompress -q --at=512k disk.qcow2
	is_clean disk.qcow2
}

@test "nothing compressed, nothing done" {
	qemu-img create -q -f qcow2 disk.qcow2 1M
	qemu-io -c "write -P 1 0 128k" disk.qcow2 >/dev/null
	unchanged disk.qcow2 succeeds decompress disk.qcow2
	prints "disk.qcow2: 0 compressed clusters are expanded, 0 of them zeroes; 0 B read, 0 B written"
}

@test "arguments that make no sense" {
	qemu-img create -q -f qcow2 disk.qcow2 1M
	fails 64 decompress
	fails 64 decompress --batch=0 disk.qcow2
	fails 64 decompress -j 0 disk.qcow2
	fails 64 decompress -j many disk.qcow2
	fails 64 decompress --at=x disk.qcow2
	fails 1 decompress missing.qcow2
}
