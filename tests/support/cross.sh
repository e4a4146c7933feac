#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `./dev cross` runs: builds for another architecture of Debian, warnings being errors, and runs
# the unit tests. i386 in a root of its own, with that root's compiler; s390x with a cross compiler
# against the packages of one, and under QEMU's user-mode emulation.
#
#	cross.sh i386|s390x [TEST...]		needs root, debootstrap, and the network the first time
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly architecture=${1:?}
folder=$(realpath -m "${CROSS_FOLDER:-build/cross}")
readonly folder
readonly root=$folder/$architecture
readonly suite=${CROSS_SUITE:-bookworm}
readonly libraries=libc6-dev,zlib1g-dev,libzstd-dev,libdeflate-dev,libseccomp-dev,libxxhash-dev,libjansson-dev,libcmocka-dev
readonly tools=gcc,meson,ninja-build,pkgconf,bats,jq,xxhash,qemu-utils
shift

run_tests() { # BUILD-FOLDER TEST...
	local build=$1
	shift
	[[ $# -gt 0 ]] || set -- --suite unit
	meson test -C "$build" --no-rebuild --timeout-multiplier 10 --print-errorlogs "$@"
}

# Once the root is complete it is used again.
make_root() { # DEBOOTSTRAP-OPTION...
	[[ ! -e $root.complete ]] || return 0
	mkdir -p "$folder"
	debootstrap --arch="$architecture" --variant=minbase "$@" "$suite" "$root" >"$folder/$architecture.log"
}

run_i386() { # TEST...
	make_root --include="$libraries,$tools"
	touch "$root.complete"
	rm -rf "$root/source"
	mkdir -p "$root/source"
	tar --exclude=./build --exclude=./.git -cf - . | tar -xf - -C "$root/source"
	mount -t proc proc "$root/proc" # some tests measure memory there
	trap 'umount "$root/proc"' EXIT
	chroot "$root" bash -c "cd /source && meson setup -Dwerror=true build/i386 && ninja -C build/i386"
	chroot "$root" bash -c "cd /source && $(declare -f run_tests); run_tests build/i386 $*"
}

write_cross_file() {
	cat <<-END
		[binaries]
		c = ['s390x-linux-gnu-gcc', '--sysroot=$root']
		ar = 's390x-linux-gnu-ar'
		strip = 's390x-linux-gnu-strip'
		pkgconfig = 'pkg-config'
		exe_wrapper = ['qemu-s390x-static', '-L', '$root']
		[properties]
		sys_root = '$root'
		pkg_config_libdir = ['$root/usr/lib/s390x-linux-gnu/pkgconfig', '$root/usr/share/pkgconfig']
		[host_machine]
		system = 'linux'
		cpu_family = 's390x'
		cpu = 's390x'
		endian = 'big'
	END
}

# The packages are unpacked only: nothing of that architecture runs but the tests.
run_s390x() { # TEST...
	local deb build=$folder/s390x-build
	make_root --foreign --include="$libraries"
	if [[ ! -e $root.complete ]]; then
		for deb in "$root"/var/cache/apt/archives/*.deb; do
			dpkg-deb -x "$deb" "$root"
		done
		touch "$root.complete"
	fi
	write_cross_file >"$folder/s390x.cross"
	[[ -e $build/build.ninja ]] ||
		meson setup --cross-file "$folder/s390x.cross" -Dwerror=true "$build"
	ninja -C "$build"
	run_tests "$build" "$@"
}

"run_$architecture" "$@"
