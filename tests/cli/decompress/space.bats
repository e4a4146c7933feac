#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# How long the file becomes meanwhile, and what it occupies afterwards.

load ../../support/cli
load contents

# 24 MiB of text; compressed, a fourth of it.
make_image() { # OPTIONS
	seq 1 4000000 | head -c 24M >source.raw
	rm -f packed.qcow2
	qemu-img convert -c -f raw -O qcow2 -o "$1" source.raw packed.qcow2
}

# Runs it where no file may become longer than so many bytes; the program may be killed for trying.
within() { # BYTES OPTION...
	local kib=$(($1 / 1024))
	shift
	cp packed.qcow2 disk.qcow2
	(
		ulimit -c 0 -f "$kib"
		exec "$QCOWTOOL" decompress -q "$@" disk.qcow2
	) 2>stopped.txt
}

@test "with --batch the file is never longer than its final size, a batch and the metadata" {
	local final batch=$((2 << 20)) metadata=$((512 << 10))
	for options in cluster_size=64k cluster_size=4k; do
		make_image "$options"
		cp packed.qcow2 disk.qcow2
		succeeds decompress -q --batch=$batch disk.qcow2
		final=$(stat -c %s disk.qcow2)
		mv disk.qcow2 expected.qcow2
		within $((final + batch + metadata)) --batch=$batch || complain "$options" "$(cat stopped.txt)"
		cmp disk.qcow2 expected.qcow2
	done
	# The limit is one: a single transaction holds both at once.
	! within $((final + batch + metadata)) || complain "a single transaction needed no more"
	"$QCOWTOOL" recover -q disk.qcow2 || true
	is_clean disk.qcow2
	qemu-img compare -q -f raw -F qcow2 source.raw disk.qcow2
}

@test "space that was set aside and not needed is given back" {
	local size occupied
	make_image cluster_size=64k
	for options in "" --no-sync --batch=2M --length=6M; do
		cp packed.qcow2 disk.qcow2
		# shellcheck disable=SC2086  # none is no word
		succeeds decompress -q $options disk.qcow2
		size=$(stat -c %s disk.qcow2)
		occupied=$(($(stat -c %b disk.qcow2) * 512))
		[[ $occupied -le $((size + 65536)) ]] || complain "$options: $occupied of $size bytes are occupied"
		is_clean disk.qcow2
	done
}
