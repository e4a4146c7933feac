# SPDX-License-Identifier: MIT
# What the disk and each snapshot hold, before and after, as qemu-img sees it.
# shellcheck shell=bash disable=SC2154  # output is set by bats

snapshot_ids() {
	qemu-img info --output=json disk.qcow2 | jq -r '.snapshots // [] | .[].id'
}

snapshot_contents() {
	local id raw
	raw=$(mktemp -p "$BATS_TEST_TMPDIR")
	for id in $(snapshot_ids); do
		qemu-img convert -f qcow2 -O raw -l "snapshot.id=$id" disk.qcow2 "$raw"
		echo "$id $(sha "$raw")"
	done
	rm -f "$raw"
}

remember_contents() {
	guest_sha disk.qcow2 >disk.sha
	snapshot_contents >snapshots.sha
}

same_snapshots() { # WHAT
	[[ $(snapshot_contents) == "$(cat snapshots.sha)" ]] || complain "snapshots differ: ${1-}"
}

same_contents() { # WHAT
	[[ $(guest_sha disk.qcow2) == "$(cat disk.sha)" ]] || complain "the disk differs: $1"
	same_snapshots "$1"
}

# Clean, and nothing compressed.
is_plain() { # WHAT
	local report
	is_clean disk.qcow2
	report=$(qemu-img check --output=json disk.qcow2)
	jq -e '(."compressed-clusters" // 0) == 0' <<<"$report" >/dev/null || complain "$1" "$report"
	"$QCOWTOOL" check -q disk.qcow2 || complain "$1: check"
}

keeps_contents() { # WHAT OPTION...
	local what=$1
	shift
	remember_contents
	succeeds decompress --output=json "$@" disk.qcow2
	same_contents "$what"
	is_plain "$what"
}

# Overwrites the first compressed bytes with what is no stream: a block type that does not exist.
break_first_stream() { # IMAGE
	python3 - "$1" <<-'END'
		import struct, sys
		f = open(sys.argv[1], "r+b")
		def be(at, n=8):
		    f.seek(at)
		    return int.from_bytes(f.read(n), "big")
		bits = be(20, 4)
		l2 = be(be(40)) & 0x00fffffffffffe00
		entry = be(l2)
		assert entry >> 62 & 1
		f.seek(entry & ((1 << 62 - (bits - 8)) - 1))
		f.write(b"\xff" * 16)
	END
}
