# SPDX-License-Identifier: MIT
# Every C file is named in the meson.build of its tree, so that none is built by nobody.
set -euo pipefail

bad=0
if grep -n 'run_command' lib/meson.build cmd/meson.build tests/meson.build; then
	echo "sources must be listed by name"
	bad=1
fi
while read -r file; do
	tree=${file%%/*}
	name=${file#*/}
	if [[ $name == unit/*/test_*.c ]]; then
		name=${name#unit/}
		name=${name/test_/}
		name=${name%.c}
	elif [[ $name == fuzz/*.c ]] && grep -qF "'$(basename "$name" .c)'" "$tree/meson.build"; then
		continue # a target's name stands for its file
	fi
	if ! grep -qF "'$name'" "$tree/meson.build"; then
		echo "$file: '$name' is not in $tree/meson.build"
		bad=1
	fi
done < <(find lib cmd tests -name '*.c' | sort)
exit "$bad"
