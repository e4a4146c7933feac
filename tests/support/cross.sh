#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `./dev cross` runs: builds for another architecture of Debian, warnings being errors, and tests
# that. i386 in a root of its own, with all that is that root's; s390x with a cross compiler against
# the packages of one, and under QEMU's user-mode emulation, judged by this machine's qemu-img.
#
#	cross.sh i386|s390x [TEST...]		needs root, debootstrap, and the network the first time
#	cross.sh i386 deb			Debian's package
#	cross.sh s390x same			both machines' images are the same byte for byte
#
# TEST is what `./dev test` takes, or `cli` for all of tests/cli; without one it is all unit tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly architecture=${1:?}
folder=$(realpath -m "${CROSS_FOLDER:-build/cross}")
readonly folder
readonly root=$folder/$architecture
readonly suite=${CROSS_SUITE:-bookworm}
readonly libraries=libc6-dev,zlib1g-dev,libzstd-dev,libdeflate-dev,libseccomp-dev,libxxhash-dev,libjansson-dev,libcmocka-dev
readonly tools=gcc,meson,ninja-build,pkgconf,bats,jq,xxhash,bsdextrautils,python3,procps,qemu-utils
shift

# Once the root is complete it is used again. What an attempt that failed has left would be in the way.
make_root() { # DEBOOTSTRAP-OPTION...
	[[ ! -e $root.complete ]] || return 0
	mkdir -p "$folder"
	rm -rf --one-file-system "$root"
	debootstrap --arch="$architecture" --variant=minbase "$@" "$suite" "$root" \
		>"$folder/$architecture.log"
}

# --- i386 ---------------------------------------------------------------------------------------

# What was built there before is kept, and what is mounted goes with the namespace.
copy_source() {
	mkdir -p "$root/source"
	find "$root/source" -mindepth 1 -maxdepth 1 -not -name build -exec rm -rf {} +
	tar --exclude=./build --exclude=./.git -cf - . | tar -xf - -C "$root/source"
}

dev_inside() { # ARGUMENT...
	# shellcheck disable=SC2016
	unshare --mount setarch i686 bash -c '
		mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
			exec env -i CI=true HOME=/root LC_ALL=C.UTF-8 \
				PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
				chroot "$1" /source/dev "${@:2}"' bash "$root" "$@"
}

run_i386() { # [TEST...]
	make_root --include="$libraries,$tools"
	touch "$root.complete"
	copy_source
	case ${1:-} in
	'') dev_inside test --suite unit --timeout-multiplier 10 ;;
	cli) dev_inside test tests/cli ;;
	deb) dev_inside deb ;;
	*) dev_inside test "$@" ;;
	esac
}

# --- s390x --------------------------------------------------------------------------------------

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

# Programs under names that run like any other program.
write_runners() { # BUILD-FOLDER RUNNERS-FOLDER
	local program
	mkdir -p "$2/cmd" "$2/tests"
	for program in cmd/qcowtool tests/hold_lock tests/interrupted; do
		printf '#!/bin/sh\nexec qemu-s390x-static -L "%s" "%s" "$@"\n' "$root" "$1/$program" \
			>"$2/$program"
		chmod +x "$2/$program"
	done
}

# The packages are unpacked only: nothing of that architecture runs but what is tested.
build_s390x() { # BUILD-FOLDER
	local deb
	make_root --foreign --include="$libraries"
	if [[ ! -e $root.complete ]]; then
		for deb in "$root"/var/cache/apt/archives/*.deb; do
			dpkg-deb -x "$deb" "$root"
		done
		touch "$root.complete"
	fi
	write_cross_file >"$folder/s390x.cross"
	[[ -e $1/build.ninja ]] || meson setup --cross-file "$folder/s390x.cross" -Dwerror=true "$1"
	ninja -C "$1"
	write_runners "$1" "$folder/s390x-run"
}

run_s390x() { # [TEST...]
	local build=$folder/s390x-build runner=$folder/s390x-run/cmd/qcowtool
	build_s390x "$build"
	[[ $# -gt 0 ]] || set -- --suite unit
	[[ $1 != cli ]] || set -- tests/cli
	if [[ $1 == same ]]; then
		./dev build
		ninja -C build/plain tests/interrupted
		bash tests/support/same_images.sh "$folder/same" build/plain/cmd/qcowtool "$runner"
	elif [[ -e $1 ]]; then
		QCOWTOOL=$runner ./dev test "$@"
	else
		meson test -C "$build" --no-rebuild --timeout-multiplier 10 --print-errorlogs "$@"
	fi
}

"run_$architecture" "$@"
