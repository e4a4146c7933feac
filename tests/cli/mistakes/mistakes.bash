# SPDX-License-Identifier: MIT
# The images that people make their mistakes with, and the run over all of them.
#
#	QCOWTOOL=build/plain/cmd/qcowtool bash tests/cli/mistakes/mistakes.bash >tests/cli/mistakes/expected.txt
# shellcheck shell=bash

poke() { # FILE OFFSET BYTES
	printf '%b' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

make_scene() {
	mkdir folder
	echo "no image at all" >text.txt
	: >empty
	truncate -s 1M disk.raw
	qemu-img create -q -f qcow qcow1.qcow 1M
	qemu-img create -q -f qcow2 disk.qcow2 64M
	qemu-io -f qcow2 -c "write -q -P 0x11 0 2M" disk.qcow2
	cp disk.qcow2 corrupt.qcow2
	poke corrupt.qcow2 79 '\x02'
	cp disk.qcow2 damaged.qcow2 # the first L2 entry has a reserved bit
	poke damaged.qcow2 $((0x40000 + 16 * 8 + 7)) '\x02'
	cp disk.qcow2 future.qcow2
	poke future.qcow2 72 '\x80'
	qemu-img snapshot -c one disk.qcow2
	cp disk.qcow2 held.qcow2
	qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 overlay.qcow2
	qemu-img create -q -f qcow2 -u -b absent.qcow2 -F qcow2 orphan.qcow2 1M
	qemu-img create -q -f qcow2 -u -b ./loop.qcow2 -F qcow2 loop.qcow2 1M
	qemu-img create -q -f qcow2 -u -b 'json:{"driver":"null-co"}' -F raw json.qcow2 1M
	qemu-img convert -q -f qcow2 -O qcow2 -c disk.qcow2 broken.qcow2
	poke broken.qcow2 $((0x50000)) '\xff\xff\xff\xff\xff\xff\xff\xff'
	printf 'at 0\nhex 01\nhax 02\n' >typo
	printf 'at 0\nhex\n' >unfinished
}

# Each command line, what it says on stderr, and its status.
walk() { # COMMANDS
	local line status
	while IFS= read -r line; do
		status=0
		bash -c "$line" >/dev/null 2>said </dev/null || status=$?
		printf '$ %s\n%s\n[%d]\n' "$line" "$(<said)" "$status"
	done <"$1"
}

# Runs in an empty folder, with held.qcow2 in use by QEMU.
walk_all() { # COMMANDS
	mkdir bin
	ln -s "$QCOWTOOL" bin/qcowtool
	export PATH=$PWD/bin:$PATH
	make_scene
	qemu-nbd --fork --pid-file=nbd.pid -t -f qcow2 -k "$PWD/nbd.sock" held.qcow2
	walk "$1"
	kill "$(<nbd.pid)"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
	set -euo pipefail
	QCOWTOOL=$(realpath "$QCOWTOOL")
	commands=$(realpath "$(dirname "$0")/commands.txt")
	folder=$(mktemp -d)
	cd "$folder"
	walk_all "$commands"
	cd /
	rm -rf "$folder"
fi
