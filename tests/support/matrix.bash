# SPDX-License-Identifier: MIT
# Images of all kinds, made by qemu-img, for comparing what we say with what it says.
# shellcheck shell=bash


_io() { # IMAGE COMMAND...
	local image=$1 command arguments=()
	shift
	for command in "$@"; do
		arguments+=(-c "$command")
	done
	qemu-io -f qcow2 "${arguments[@]}" "$image" >/dev/null
}

# Plain, zero, preallocated zero and compressed clusters with gaps between them.
_fill() { # IMAGE
	_io "$1" "write -P 1 0 200k" "write -P 2 1M 1M" "write -P 3 64M 70k" "write -c -P 4 8M 2M"
}

_fill_zeroes() { # IMAGE
	_io "$1" "write -z 3M 300k" "write -z -u 5M 512k"
}

make_plain_images() {
	local size
	qemu-img create -q -f qcow2 empty.qcow2 1G
	qemu-img create -q -f qcow2 none.qcow2 0
	qemu-img create -q -f qcow2 tiny.qcow2 512
	for size in 512 4k 64k 2M; do
		qemu-img create -q -f qcow2 -o cluster_size=$size c$size.qcow2 100M
		_fill c$size.qcow2
		_fill_zeroes c$size.qcow2
	done
	qemu-img create -q -f qcow2 -o compat=0.10 v2.qcow2 100M
	_fill v2.qcow2
	qemu-img create -q -f qcow2 -o compression_type=zstd,refcount_bits=1 zstd.qcow2 100M
	_fill zstd.qcow2
	qemu-img create -q -f qcow2 -o extended_l2=on,cluster_size=128k el2.qcow2 100M
	_fill el2.qcow2
	_fill_zeroes el2.qcow2
	_io el2.qcow2 "write -P 9 20M 4k" "write -P 9 20992k 2k" "write -z 21008k 16k"
	qemu-img create -q -f qcow2 odd.qcow2 1000k
	_io odd.qcow2 "write -P 5 950k 50k"
	for kind in metadata falloc full; do
		qemu-img create -q -f qcow2 -o preallocation=$kind pre-$kind.qcow2 5M
		_io pre-$kind.qcow2 "write -P 5 3M 100k"
	done
	qemu-img create -q -f qcow2 snap.qcow2 64M
	_io snap.qcow2 "write -P 1 0 1M"
	qemu-img snapshot -c one snap.qcow2
	_io snap.qcow2 "write -P 2 512k 1M"
	qemu-img snapshot -c "two words" snap.qcow2
	_io snap.qcow2 "write -P 3 10M 1M"
}

make_chains() {
	truncate -s 50M base.raw
	printf x | dd of=base.raw bs=1 seek=5000000 conv=notrunc status=none
	printf abc >>base.raw
	qemu-img create -q -f qcow2 -b base.raw -F raw on-raw.qcow2 80M
	_io on-raw.qcow2 "write -P 7 1M 200k" "write -z 49M 2M"
	qemu-img create -q -f qcow2 -b on-raw.qcow2 -F qcow2 cut.qcow2 60M
	_io cut.qcow2 "write -P 8 2M 200k" "write -z 10M 1M" "write -c -P 1 12M 64k"
	qemu-img create -q -f qcow2 -o extended_l2=on -b on-raw.qcow2 -F qcow2 el2-chain.qcow2 100M
	_io el2-chain.qcow2 "write -P 8 2M 2k" "write -P 8 2060k 8k" "write -z 10M 4k"
	mkdir sub
	(cd sub && qemu-img create -q -f qcow2 -b ../cut.qcow2 -F qcow2 below.qcow2)
	qemu-img create -q -f qcow2 -b "$PWD/cut.qcow2" -F qcow2 absolute.qcow2
}

# Images of which only the metadata can be looked at, or that have more of it.
make_metadata_images() {
	qemu-img create -q -f qcow2 bitmaps.qcow2 64M
	qemu-img bitmap --add bitmaps.qcow2 b0
	qemu-img bitmap --add -g 4096 --disable bitmaps.qcow2 b1
	make_encrypted s -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 luks.qcow2 1M
	qemu-img create -q -f qcow2 -o data_file=ext.raw,data_file_raw=on data-raw.qcow2 1M
	qemu-img create -q -f qcow2 -o data_file=ext2.raw data.qcow2 1M
	qemu-img create -q -f qcow2 -o lazy_refcounts=on dirty.qcow2 1M
	printf '\003' | dd of=dirty.qcow2 bs=1 seek=79 conv=notrunc status=none
}
