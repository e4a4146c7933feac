# SPDX-License-Identifier: MIT
# What people do wrong, and the line they get: golden text. Each says what, where and what to do.
# mistakes.bash makes expected.txt anew.

load ../../support/cli
load mistakes

@test "each mistake has its line" {
	walk_all "$BATS_TEST_DIRNAME/commands.txt" >said.txt
	diff -u "$BATS_TEST_DIRNAME/expected.txt" said.txt
}

@test "each mistake is one line on stderr, and no success" {
	run ! grep '^\[0\]' "$BATS_TEST_DIRNAME/expected.txt"
	[[ $(grep -vc '^[$[]' "$BATS_TEST_DIRNAME/expected.txt") == \
		$(grep -c '^\$' "$BATS_TEST_DIRNAME/expected.txt") ]]
}
