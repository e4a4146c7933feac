#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# check --deep: every compressed cluster is decompressed.
# shellcheck shell=bash disable=SC2154

load ../../support/cli

bats_require_minimum_version 1.5.0

make_image() { # IMAGE TYPE
	seq 1 400000 >plain
	qemu-img convert -c -f raw -O qcow2 -o "compression_type=$2,cluster_size=16k" plain "$1"
}

# Overwrites the beginning of the stream of the guest cluster at OFFSET.
break_stream() { # IMAGE OFFSET
	python3 - "$1" "$2" <<-'END'
		import sys
		name, guest = sys.argv[1], int(sys.argv[2])
		data = bytearray(open(name, "rb").read())
		be = lambda at: int.from_bytes(data[at:at + 8], "big")
		entry = be((be(be(0x28)) & 0xfffffffffffe00) + guest // 16384 * 8)
		offset = entry & ((1 << (62 - 6)) - 1)
		data[offset:offset + 16] = b"\xff" * 16
		open(name, "wb").write(data)
	END
}

@test "sound images of both types" {
	for type in zlib zstd; do
		make_image image.qcow2 "$type"
		succeeds check --deep image.qcow2
		prints_as_shallow=$output
		succeeds check image.qcow2
		[[ $output == "$prints_as_shallow" ]]
	done
}

@test "a broken stream is found where it is, whatever the number of threads, and only when deep" {
	for type in zlib zstd; do
		make_image image.qcow2 "$type"
		break_stream image.qcow2 $((5 * 16384))
		break_stream image.qcow2 $((90 * 16384))
		succeeds check image.qcow2
		for jobs in 1 2 5; do
			qcowtool check --deep -j "$jobs" --output=json image.qcow2
			[[ $status == 2 ]]
			json '.corruptions == 2 and (.findings | map(.guest) == [81920, 1474560])'
			json '.findings | all(.id == "compressed-broken")'
			[[ $jobs == 1 ]] || diff <(echo "$output") first
			echo "$output" >first
		done
	done
}

@test "a stream that two states share is told once; one that only a snapshot has, with its name" {
	make_image image.qcow2 zlib
	qemu-img snapshot -c old image.qcow2
	break_stream image.qcow2 $((5 * 16384))
	qcowtool check --deep --output=json image.qcow2
	json '.corruptions == 1'
	qemu-io -f qcow2 -c "write 80k 16k" image.qcow2 >/dev/null
	qcowtool check --deep --output=json image.qcow2
	json '.findings | length == 1 and .[0].snapshot == "old" and .[0].guest == 81920'
}
