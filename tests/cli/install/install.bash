# SPDX-License-Identifier: MIT
# An installation below a folder of the test's own, from the build folder that $QCOWTOOL is in.
# shellcheck shell=bash disable=SC2154,SC2034

tree=$(cd "$BATS_TEST_DIRNAME/../../.." && pwd)
build=$(cd "$(dirname "$QCOWTOOL")/.." && pwd)

build_option() { # NAME
	meson introspect --buildoptions "$build" | jq -r --arg name "$1" '.[] | select(.name == $name).value'
}

# Afterwards $prefix is where the files are below FOLDER.
install_into() { # FOLDER
	prefix=$(build_option prefix)
	libraries=$(build_option libdir)
	DESTDIR=$1 meson install -C "$build" --no-rebuild --quiet
}

expected_files() {
	local page
	cat <<-END
		bin/qcowtool
		include/qcowtool/qcowtool.h
		$libraries/libqcowtool.so
		$libraries/libqcowtool.so.0
		$libraries/pkgconfig/libqcowtool.pc
		share/bash-completion/completions/qcowtool
		share/doc/qcowtool/README.md
		share/fish/vendor_completions.d/qcowtool.fish
		share/zsh/site-functions/_qcowtool
	END
	(cd "$tree" && find docs -type f -not -path 'docs/man/*' -not -path 'docs/packaging/*') |
		sed 's,^,share/doc/qcowtool/,'
	for page in "$tree"/docs/man/*; do
		echo "share/man/man${page##*.}/${page##*/}"
	done
}
