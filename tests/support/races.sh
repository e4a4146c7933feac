#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every command that works in several threads, on images with enough clusters to be shared out to them.
# The program is built with ThreadSanitizer, which makes it fail with a status of its own.
#
#	races.sh QCOWTOOL
set -euo pipefail

tool=$(realpath "${1:?}")
readonly race_status=66
export TSAN_OPTIONS=exitcode=$race_status

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

passed=0 failed=0

# The sanitizer opens files of its own when it reports.
run() { # NAME COMMAND ARGUMENT...
	local status=0
	"$tool" "$2" --no-sandbox "${@:3}" >out 2>err </dev/null || status=$?
	if [[ $status == 0 ]]; then
		echo "ok $1"
		passed=$((passed + 1))
		return
	fi
	echo "not ok $1: status $status$([[ $status != "$race_status" ]] || echo ', a race')"
	sed 's/^/# /' err
	failed=$((failed + 1))
}

# 24000 clusters of bytes that compress to half their size or so, and some holes.
make_images() {
	head -c 32M /dev/urandom | od -An -v -tx1 -w32 >disk.raw
	truncate -s 128M disk.raw
	for size in 4k 64k; do
		qemu-img convert -f raw -O qcow2 -o "cluster_size=$size" disk.raw "plain-$size"
		qemu-img convert -c -f raw -O qcow2 -o "cluster_size=$size" disk.raw "packed-$size"
	done
	qemu-img convert -c -f raw -O qcow2 -o cluster_size=4k,compression_type=zstd disk.raw packed-zstd
	qemu-img create -q -f qcow2 -o cluster_size=4k -b packed-4k -F qcow2 overlay
	# Other bytes here and there: what the new base shows differs from the old one.
	cp plain-64k other
	qemu-io -f qcow2 -c 'write -q -P 1 1M 3M' -c 'write -q -P 2 70M 64k' other
}

make_images
for image in plain-4k packed-4k packed-64k packed-zstd; do
	run "check $image" check -j 4 "$image"
	run "check --deep $image" check --deep -j 4 "$image"
	run "hash $image" hash -j 4 "$image"
	run "read $image" read -j 4 -o out.raw "$image"
	rm -f out.raw
done
run "compare" compare -j 4 packed-4k plain-64k
run "compare with raw" compare -j 4 -F raw packed-zstd disk.raw
run "write -c" write --at=0 -c --file=disk.raw plain-64k
cp overlay overlay-2
run "rebase" rebase -b other -F qcow2 overlay
run "rebase -c" rebase -c -b '' overlay-2
cp packed-4k snapshots
run "snapshot-cow create" snapshot-cow create snapshots one
run "decompress beside a snapshot" decompress -j 4 snapshots
run "decompress" decompress -j 4 packed-zstd

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
