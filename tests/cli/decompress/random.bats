#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Images that came about by chance, expanded piece by piece. QCOWTOOL_RANDOM_SEED repeats one run.

load ../../support/cli
load contents

pick() { # WORD...
	shift $((RANDOM % $#))
	echo "$1"
}

random_image() { # ROUND
	local i size cluster
	cluster=$(pick 512 4k 16k 64k 2M)
	rm -f disk.qcow2
	qemu-img create -q -f qcow2 -o "cluster_size=$cluster,$(pick compression_type=zlib \
		compression_type=zstd refcount_bits=32 compat=0.10 refcount_bits=64)" disk.qcow2 4M
	for i in 1 2 3; do
		for _ in 1 2 3 4; do
			size=$((RANDOM % 400 + 1))
			{
				seq $((RANDOM * 8)) 300000 | head -c $((size * 700))
				head -c $((size * 324)) /dev/zero
			} >piece
			"$QCOWTOOL" write -q "$(pick -c -c --compress)" --at=$((RANDOM % 3500))k --file=piece disk.qcow2
		done
		qemu-io -c "write -P $i $((RANDOM % 4000))k 64k" -c "discard $((RANDOM % 3000))k 256k" \
			disk.qcow2 >/dev/null
		[[ $((RANDOM % 3)) == 0 ]] || qemu-img snapshot -c "s$i" disk.qcow2
	done
}

@test "random images, ranges, batches and threads" {
	local seed=${QCOWTOOL_RANDOM_SEED:-11} rounds=${QCOWTOOL_RANDOM_ROUNDS:-12} round
	RANDOM=$seed
	for ((round = 0; round < rounds; round++)); do
		random_image
		remember_contents
		succeeds decompress -q --at=$((RANDOM % 2000))k --length=$((RANDOM % 2000))k \
			-j $((RANDOM % 4 + 1)) disk.qcow2
		is_clean disk.qcow2
		same_contents "seed $seed, round $round, range"
		keeps_contents "seed $seed, round $round" "$(pick --batch=64k --batch=300k --batch=1M -j3)"
	done
}
