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

@test "every line for those who come from qemu-img runs" {
	local page=$BATS_TEST_DIRNAME/../../../docs/COMING-FROM-QEMU-IMG.md line
	mkdir bin work
	ln -s "$QCOWTOOL" bin/qcowtool
	sed -n 's/^|.*| `\(qcowtool .*\)` |$/\1/p' "$page" >lines
	[[ $(wc -l <lines) -ge 28 ]]
	cd work
	head -c 4096 /dev/urandom >file
	qemu-img create -q -f qcow2 plain.qcow2 1M
	qemu-io -f qcow2 -c "write -q -P 7 0 1M" plain.qcow2
	qemu-img convert -c -O qcow2 plain.qcow2 packed.qcow2
	while IFS= read -r line; do
		PATH=$BATS_TEST_TMPDIR/bin:$PATH run bash -c "$line"
		[[ $status == 0 ]] || complain "$line"
	done <../lines
	for image in disk.qcow2 small.qcow2 over.qcow2 packed.qcow2; do
		is_clean "$image"
	done
}
