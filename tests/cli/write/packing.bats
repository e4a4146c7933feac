#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Where compressed clusters go, and what they are, beside what QEMU makes of the same bytes.

load ../../support/cli

# The compressed extents in guest order: host offset, bytes as the descriptor counts them.
extents() { # IMAGE
	python3 - "$1" <<-'END'
		import sys
		f = open(sys.argv[1], "rb")
		def be(at, n=8):
		    f.seek(at)
		    return int.from_bytes(f.read(n), "big")
		bits = be(20, 4)
		shift = 62 - (bits - 8)
		for i in range(be(36, 4)):
		    l2 = be(be(40) + 8 * i) & 0x00fffffffffffe00
		    for j in range(1 << bits - 3 if l2 else 0):
		        entry = be(l2 + 8 * j)
		        if entry >> 62 & 1:
		            at = entry & (1 << shift) - 1
		            print(at, ((entry >> shift & (1 << 62 - shift) - 1) + 1) * 512 - at % 512)
	END
}

# How far it is from each to the next.
steps() { # IMAGE
	extents "$1" | awk 'NR > 1 { print $1 - last } { last = $1 }'
}

text() { # BYTES
	seq 1 300000 | head -c "$1"
}

@test "clusters are packed to the byte, each as long as its stream" {
	text 512k >words
	qemu-img create -q -f qcow2 ours.qcow2 1M
	succeeds write -q -c --at=0 --file=words ours.qcow2
	extents ours.qcow2 >extents.txt
	python3 - extents.txt <<-'END'
		import sys, zlib
		text = open("words", "rb").read()
		image = open("ours.qcow2", "rb").read()
		at = None
		count = 0
		for line in open(sys.argv[1]):
		    host = int(line.split()[0])
		    assert at is None or host == at, (host, at)
		    stream = zlib.decompressobj(-12)
		    out = stream.decompress(image[host : host + 65536 * 2], 65536)
		    assert out == text[count * 65536 : (count + 1) * 65536], count
		    assert stream.decompress(stream.unconsumed_tail) == b"" and stream.eof
		    at = min(host + 65536 * 2, len(image)) - len(stream.unused_data)
		    count += 1
		assert count == 8, count
	END
}

@test "the streams and their distances are those of QEMU" {
	text 384k >words
	qemu-img create -q -f qcow2 ours.qcow2 1M
	qemu-img create -q -f qcow2 theirs.qcow2 1M
	succeeds write -q -c --at=0 --file=words ours.qcow2
	split -b 64k -d -a 1 words piece
	# One process: QEMU packs what one has written.
	qemu-io -c "write -q -c -s piece0 0 64k" -c "write -q -c -s piece1 64k 64k" \
		-c "write -q -c -s piece2 128k 64k" -c "write -q -c -s piece3 192k 64k" \
		-c "write -q -c -s piece4 256k 64k" -c "write -q -c -s piece5 320k 64k" \
		theirs.qcow2 >/dev/null
	steps ours.qcow2 >ours.txt
	steps theirs.qcow2 >theirs.txt
	cmp ours.txt theirs.txt
	qemu-img compare -q ours.qcow2 theirs.qcow2
}

@test "no compressed cluster joins another in a host cluster that is in use" {
	local before
	text 64k >words
	for version in compat=1.1 compat=0.10 compression_type=zstd; do
		rm -f disk.qcow2
		qemu-img create -q -f qcow2 -o $version disk.qcow2 1M
		qemu-io -c "write -q -c -s words 0 64k" disk.qcow2 >/dev/null
		for i in 1 2 3; do
			before=$(extents disk.qcow2 | awk '{ print int($1 / 65536) }')
			succeeds write -q -c --at=$((i * 64))k --file=words disk.qcow2
			# The one that is new has a host cluster of its own.
			[[ $(extents disk.qcow2 | awk '{ print int($1 / 65536) }' | sort -u | wc -l) == \
				$(($(sort -u <<<"$before" | wc -l) + 1)) ]] || complain "$version, write $i"
			is_clean disk.qcow2
		done
	done
}

@test "what does not become smaller is stored plain" {
	text 128k >mixed
	head -c 128k /dev/urandom >>mixed
	text 64k >>mixed
	for options in cluster_size=64k cluster_size=4k compression_type=zstd \
		extended_l2=on,cluster_size=64k refcount_bits=1,cluster_size=4k; do
		rm -f disk.qcow2
		qemu-img create -q -f qcow2 -o $options disk.qcow2 1M
		succeeds write -q -c --at=0 --file=mixed disk.qcow2
		is_clean disk.qcow2
		cp mixed expected
		truncate -s 1M expected
		qemu-img compare -q -f raw -F qcow2 expected disk.qcow2
		"$QCOWTOOL" map --output=json disk.qcow2 | jq -e '
			([.[] | select(.compressed) | .length] | add) == 196608 and
			([.[] | select(.data and (.compressed | not)) | .length] | add) == 131072' ||
			complain "$options"
	done
}
