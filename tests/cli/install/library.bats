#!/usr/bin/env bats
# The library as another program sees it: what is installed, and nothing else.

load ../../support/cli
load install

# Builds the program against the installation, with warnings as errors.
build_example() {
	install_into "$PWD/root"
	local pc=root$prefix/$libraries/pkgconfig flags
	flags=$(PKG_CONFIG_LIBDIR=$pc pkg-config --define-variable=prefix="$PWD/root$prefix" \
		--cflags --libs libqcowtool)
	# shellcheck disable=SC2086
	cc -Wall -Wextra -Werror -o example "$tree/docs/example.c" $flags
}

# Runs it with the installed library.
example() { # ARGUMENT...
	run --separate-stderr env LD_LIBRARY_PATH="$PWD/root$prefix/$libraries" ./example "$@"
}

@test "the example is built with the installed header and pkg-config file, and edits an image" {
	build_example
	(($(wc -l <"$tree/docs/example.c") <= 40)) || complain "LIBRARY.md calls it forty lines"
	qemu-img create -q -f qcow2 disk.qcow2 1M
	qemu-io -f qcow2 -c 'write -q -P 0x11 0 64k' -c 'write -q -P 0x22 512k 64k' disk.qcow2
	example disk.qcow2
	[[ $status == 0 ]] || complain "the example failed"
	prints $'65536 bytes at 0\n65536 bytes at 524288\n0 corruptions, 0 leaks'
	qemu-io -r -f qcow2 -c 'read -P 0x11 0 510' -c 'read -P 0x55 510 1' -c 'read -P 0xaa 511 1' \
		-c 'read -P 0x11 512 65024' -c 'read -P 0x22 512k 64k' disk.qcow2 >seen
	[[ $(grep -c '^read ' seen) == 5 && $(<seen) != *[Ff]ail* ]] || complain "$(<seen)"
	qemu-img snapshot -a unsigned disk.qcow2
	qemu-io -r -f qcow2 -c 'read -P 0x11 0 64k' disk.qcow2 >seen
	[[ $(grep -c '^read ' seen) == 1 && $(<seen) != *[Ff]ail* ]] || complain "$(<seen)"
	is_clean disk.qcow2
}

@test "a failure is one line, and the image stays as it is" {
	build_example
	head -c 4096 /dev/urandom >disk.qcow2
	unchanged disk.qcow2 example disk.qcow2
	[[ $status == 1 && -z $output && $stderr == "example: "*qcow2* ]] || complain "a line was expected"
}

@test "the installed library finds every symbol, and the program does not need it" {
	install_into "$PWD/root"
	ldd -r "root$prefix/$libraries/libqcowtool.so.0" >needs 2>&1
	[[ -s needs && $(<needs) != *"undefined symbol"* ]] || complain "$(<needs)"
	ldd "root$prefix/bin/qcowtool" >needs
	[[ -s needs && $(<needs) != *libqcowtool* ]] || complain "$(<needs)"
}
