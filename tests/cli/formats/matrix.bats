# SPDX-License-Identifier: MIT
# docs/FORMAT-NOTES.md holds, cell by cell. matrix.bash says how.

load ../../support/cli
load matrix

notes() {
	cat "$BATS_TEST_DIRNAME/../../../docs/FORMAT-NOTES.md"
}

# The row of the notes for this kind is what comes out.
holds() { # KIND
	run row "$1"
	[[ $status == 0 ]] || complain "no row for $1"
	notes | grep -Fqx "$output" || complain "docs/FORMAT-NOTES.md says otherwise"
}

@test "version 2" { holds v2; }
@test "version 3" { holds v3; }
@test "refcounts of one bit" { holds one-bit; }
@test "extended L2 entries" { holds extended-l2; }
@test "zstd" { holds zstd; }
@test "zlib" { holds compressed; }
@test "lazy refcounts" { holds lazy; }
@test "left dirty" { holds dirty; }
@test "dirty bitmaps" { holds bitmaps; }
@test "snapshots" { holds snapshots; }
@test "a backing file" { holds backing; }
@test "an external data file" { holds data-file; }
@test "a raw external data file" { holds data-file-raw; }
@test "encryption" { holds luks; }
@test "qcow version 1" { holds qcow1; }

@test "every refusal is explained" {
	local one
	for one in "${refusals[@]}"; do
		notes | grep -Fqx -- "- ${one%%:*}: ${one#*:}" || complain "not explained: $one"
	done
}
