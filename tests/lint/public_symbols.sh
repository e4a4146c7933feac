# SPDX-License-Identifier: MIT
# The shared library exports what its header declares, as its version script says; and the header is
# one that any C and C++ program can include.
set -euo pipefail

header=lib/api/qcowtool.h
script=lib/api/libqcowtool.map
bad=0

agree() { # WORDS LIST LIST
	local differing
	differing=$(diff <(sort -u <<<"$2") <(sort -u <<<"$3") | grep '^[<>]' || true)
	[[ -n $2 && -z $differing ]] || {
		printf '%s differ:\n%s\n' "$1" "$differing"
		bad=1
	}
}

declared() {
	sed 's,^[ /]\*.*,,' "$header" | grep -oE '\bqcowtool_[a-z_]+\(' | tr -d '('
}

# "qcowtool_open@@QCOWTOOL_0"; the version itself is a symbol, too.
exported() {
	nm --dynamic --extern-only --defined-only --with-symbol-versions "${QCOW_SHARED:?}" |
		awk '$2 != "A" { print $3 }'
}

# The functions with the version below which they stand.
versioned() {
	awk '/^QCOWTOOL_[0-9]+ \{/ { version = $1 }
		/^\t\tqcowtool_/ { sub(/;$/, "", $1); print $1 "@@" version }' "$script"
}

agree "$header (<) and $script (>)" "$(declared)" "$(versioned | sed 's/@@.*//')"
agree "exported symbols (<) and $script (>)" "$(exported)" "$(versioned)"

unknown=$(grep -oE '\bqcowtool_[a-z_]+\(' docs/man/libqcowtool.3 | tr -d '(' | grep -vxFf <(declared) || true)
[[ -z $unknown ]] || {
	printf 'docs/man/libqcowtool.3 is about what is not there:\n%s\n' "$unknown"
	bad=1
}

strict=(-fsyntax-only -pedantic -Wall -Wextra -Werror)
cc "${strict[@]}" -std=c99 -x c - <<<"#include \"$PWD/$header\"" || bad=1
g++ "${strict[@]}" -x c++ - <<<"#include \"$PWD/$header\"" || bad=1
if grep -nE '\bqc_|\bQC_|#include "' "$header"; then
	echo "$header: what is private shows"
	bad=1
fi
exit "$bad"
