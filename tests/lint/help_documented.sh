# SPDX-License-Identifier: MIT
# `qcowtool --help`, each command's --help, and what people read agree: every command stands in
# README.md's list of commands and nothing else does; every option stands in the command's manual page
# where there is one, in README.md where there is none.
set -euo pipefail

: "${QCOWTOOL:?}"
bad=0

complain() { # WORDS
	echo "$1"
	bad=1
}

# The first words below "Commands:" up to the blank line.
commands_of_help() {
	"$QCOWTOOL" --help | awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }'
}

# "| `write` | ..." below the heading.
commands_of_readme() {
	awk '/^## / { on = ($0 == "## Commands") } on' README.md | sed -n 's/^| `\([a-z][a-z-]*\)` .*/\1/p'
}

# "--at", "-c": every spelling that the option list of --help begins a line with.
options_of() { # COMMAND
	"$QCOWTOOL" "$1" --help | grep -oE '^ +(-[A-Za-z], )?--[a-z-]+|^ +-[A-Za-z]' |
		grep -oE -e '--?[A-Za-z][a-z-]*' | sort -u
}

manual_of() { # COMMAND
	local page=docs/man/qcowtool-$1.1
	if [[ -e $page ]]; then echo "$page"; else echo README.md; fi
}

# As a word of its own; manual pages write \- for -.
mentions() { # FILE OPTION
	grep -qE -e "(^|[^A-Za-z0-9-])$2([^A-Za-z0-9-]|\$)" <<<"$(sed 's/\\-/-/g' "$1")"
}

commands=$(commands_of_help)
[[ -n $commands ]] || complain "--help lists no commands"
differing=$(diff <(sort <<<"$commands") <(commands_of_readme | sort) || true)
[[ -z $differing ]] || complain "commands of --help (<) and of README.md (>) differ:
$differing"

for command in $commands; do
	for option in $(options_of "$command"); do
		mentions "$(manual_of "$command")" "$option" ||
			complain "$command $option is not in $(manual_of "$command")"
	done
done
exit "$bad"
