#!/usr/bin/env bats
# What `meson install` puts where, and that it works from there.

load ../../support/cli
load install

@test "an installation is these files and no others" {
	install_into "$PWD/root"
	find root -type f -o -type l | sed "s,^root$prefix/,," | LC_ALL=C sort >found
	expected_files | LC_ALL=C sort >expected
	diff -u expected found
}

@test "the links of the installed pages lead somewhere" {
	local page link
	install_into "$PWD/root"
	for page in root"$prefix"/share/doc/qcowtool/{README.md,docs/*.md}; do
		while read -r link; do
			[[ $link == LICENSE || -e $(dirname "$page")/$link ]] ||
				complain "$page: $link is not there"
		done < <(grep -oE '\]\([A-Za-z0-9_./-]+\)' "$page" | tr -d '()]')
	done
}

@test "the installed program runs" {
	install_into "$PWD/root"
	qemu-img create -q -f qcow2 disk.qcow2 1M
	export QCOWTOOL=$PWD/root$prefix/bin/qcowtool
	succeeds write disk.qcow2 --at=0x100 --text=installed
	succeeds read disk.qcow2 --at=0x100 --length=9
	prints installed
}
