# SPDX-License-Identifier: MIT
# docs/CHECKS.md is the finding table of lib/format/finding.c. `bash tests/lint/checks_documented.sh
# --write` makes it anew.
set -euo pipefail

readonly table=lib/format/finding.c page=docs/CHECKS.md

# "KIND(NAME, SEVERITY, "id", "summary")," over one line or two, one row each.
# shellcheck disable=SC2016
rows() {
	tr '\n' ' ' <"$table" | grep -oE 'KIND\([A-Z0-9_]+, [A-Z]+, "[^"]*",[[:space:]]*"[^"]*"\)' |
		sed -E 's/KIND\([A-Z0-9_]+, ([A-Z]+), "([^"]*)",[[:space:]]*"([^"]*)"\)/| `\2` | \L\1\E | \3 |/'
}

page() {
	cat <<-'END'
		# What `qcowtool check` finds

		Ids never change their meaning; they are `id` in the JSON of `check`. A *corruption* is wrong, or
		becomes wrong with the next write; a *leak* wastes space; a *note* is worth saying of a sound image.
		This page is made from the table in `lib/format/finding.c`.

		| id | severity | summary |
		|---|---|---|
	END
	rows
}

if [[ ${1:-} == --write ]]; then
	page >"$page"
	exit
fi
# Nothing of the table may escape the pattern above.
count=$(grep -c '^	KIND(' "$table")
[[ $(rows | wc -l) == "$count" ]] || {
	echo "$table: $count findings, of which $(rows | wc -l) can be read"
	exit 1
}
diff <(page) "$page" || {
	echo "$page differs from $table: run bash tests/lint/checks_documented.sh --write"
	exit 1
}
