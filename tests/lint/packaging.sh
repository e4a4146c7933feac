# SPDX-License-Identifier: MIT
# The Debian packages are of this version, and know the versions of the library's symbols.
set -euo pipefail

debian=docs/packaging/debian
bad=0

version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)
packaged=$(sed -n '1s/^qcowtool (\([^)]*\)).*/\1/p' "$debian/changelog")
if [[ -z $version || $packaged != "$version" ]]; then
	echo "$debian/changelog is about $packaged, meson.build about $version"
	bad=1
fi
while read -r node; do
	grep -qE "^ \(symver\)$node [0-9]" "$debian/libqcowtool0.symbols" || {
		echo "$debian/libqcowtool0.symbols lacks $node"
		bad=1
	}
done < <(grep -oE '^QCOWTOOL_[0-9]+' lib/api/libqcowtool.map || echo none)
exit "$bad"
