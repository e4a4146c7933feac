# SPDX-License-Identifier: MIT
# The bases that images are moved between.
# shellcheck shell=bash

# Two raw ones that agree in part: data, zeroes and holes, and one is longer than the other.
make_bases() {
	truncate -s 2M old.raw
	qemu-io -f raw -c "write -q -P 1 0 700k" -c "write -q -P 2 1M 600k" old.raw
	cp old.raw new.raw
	truncate -s 3M new.raw
	qemu-io -f raw -c "write -q -P 3 100k 3k" -c "write -q -P 0 300k 200k" \
		-c "write -q -P 4 800k 100k" -c "write -q -P 5 1900k 500k" new.raw
	qemu-img convert -f raw -O qcow2 old.raw old.qcow2
	qemu-img convert -c -f raw -O qcow2 -o cluster_size=32k new.raw new.qcow2
}

format_of() { # BASE
	if [[ $1 == *.raw ]]; then echo raw; else echo qcow2; fi
}
