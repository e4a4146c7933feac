# SPDX-License-Identifier: MIT
# The tutorial does what it says.

load ../../support/cli

# The shell blocks of a page, in order.
blocks() { # PAGE
	awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$1"
}

@test "every line of the tutorial runs" {
	local page=$BATS_TEST_DIRNAME/../../../docs/TUTORIAL.md
	mkdir bin work
	ln -s "$QCOWTOOL" bin/qcowtool
	{
		echo 'set -euo pipefail'
		blocks "$page"
	} >script
	[[ $(grep -c qcowtool script) -gt 20 ]]
	cd work
	PATH=$BATS_TEST_TMPDIR/bin:$PATH run bash ../script
	[[ $status == 0 ]] || complain "the tutorial stops"
	for image in *.qcow2; do
		is_clean "$image"
	done
}
