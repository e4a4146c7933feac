# SPDX-License-Identifier: MIT
# docs/FORMAT-NOTES.md holds, cell by cell, and images that are seldom seen are no surprise. matrix.py
# and odd.py say how.

load ../../support/cli

NOTES=$BATS_TEST_DIRNAME/../../../docs/FORMAT-NOTES.md

# Their images are small and many; where memory can hold them, no disk has to.
python() { # SCRIPT ARGUMENT...
	local folder=$BATS_TEST_TMPDIR
	[[ ! -w /dev/shm ]] || folder=/dev/shm
	run env MATRIX_FOLDER="$folder" PYTHONDONTWRITEBYTECODE=1 python3 "$BATS_TEST_DIRNAME/$1" "${@:2}"
	[[ $status == 0 && $output == *" passed, 0 failed" ]] || complain "$1 found something"
}

holds() { # KIND
	python matrix.py "$NOTES" "$1"
}

@test "version 2" { holds v2; }
@test "version 2, compressed" { holds v2-compressed; }
@test "version 2, snapshots" { holds v2-snapshots; }
@test "version 2, a backing file" { holds v2-backing; }
@test "version 3" { holds v3; }
@test "extended L2 entries" { holds extended-l2; }
@test "extended L2 entries, a backing file" { holds extended-l2-backing; }
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

@test "images that are seldom seen" { python odd.py; }
