#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Images from strangers: memory, time and files of the program that people run. The images are those of
# tests/unit/hostile, which says what each of them must be answered.
# shellcheck shell=bash disable=SC2154

load ../../support/cli

setup_file() {
	export PROGRAMS=${QCOWTOOL%/cmd/qcowtool}/tests
	[[ -e $PROGRAMS/libopens.so && -x $PROGRAMS/test_hostile_tables ]] || {
		echo "no $PROGRAMS/libopens.so or test_hostile_tables: build them first" >&2
		return 1
	}
}

# What the images name lies there to be opened.
put_decoys() {
	local name
	for name in base.img data.raw; do
		truncate -s 3M "$name"
	done
}

are_bounded() { # FOLDER
	PYTHONDONTWRITEBYTECODE=1 python3 "$BATS_TEST_DIRNAME/bounds.py" \
		"$QCOWTOOL" "$PROGRAMS/libopens.so" "$1" >result || complain "$(<result)"
	cat result
}

@test "hostile images: 64 MiB, 2 seconds, and no file but the one named" {
	local part
	mkdir images
	for part in bitmaps compressed extensions header header_tables refcounts snapshots tables; do
		HOSTILE_FOLDER=images "$PROGRAMS/test_hostile_$part"
	done
	[[ $(find images -type f | wc -l) -ge 250 ]]
	put_decoys
	are_bounded images
}

@test "names of other files, of whatever kind, are not followed" {
	local name number=0
	mkdir images
	put_decoys
	for name in base.img "$PWD/base.img" ./data.raw /etc/hostname /dev/zero \
		file:base.img nbd://localhost/x ssh://localhost/x http://localhost/x fd:0 \
		'json:{"driver":"file","filename":"base.img"}' \
		'json:{"driver":"raw","file":{"driver":"file","filename":"base.img"}}'; do
		qemu-img create -q -f qcow2 -u -b "$name" -F raw "images/backing-$((++number))" 1M
	done
	qemu-img create -q -f qcow2 -o data_file=data.raw,data_file_raw=on images/data 3M
	for name in base.img "$PWD/base.img" /dev/zero 'json:{"driver":"file","filename":"base.img"}'; do
		qemu-img create -q -f qcow2 -o data_file=other.raw one.qcow2 3M
		"$QCOWTOOL" rebase -u -b '' one.qcow2 || true
		cp one.qcow2 "images/data-$((++number))"
		PYTHONDONTWRITEBYTECODE=1 python3 - "images/data-$number" "$name" <<-'END'
			import struct, sys
			path, name = sys.argv[1], sys.argv[2].encode()
			data = bytearray(open(path, "rb").read())
			at = data.index(struct.pack(">II", 0x44415441, len("other.raw")))
			rest = data[at + 8 + 16:0x10000 - 64]
			new = struct.pack(">II", 0x44415441, len(name)) + name + bytes(-len(name) % 8)
			data[at:0x10000] = (new + rest + bytes(0x10000))[:0x10000 - at]
			open(path, "wb").write(data)
		END
		qemu-img info -U "images/data-$number" >/dev/null 2>&1 || true
	done
	are_bounded images
}
