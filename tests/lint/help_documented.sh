# SPDX-License-Identifier: MIT
# What the program takes is what people and shells are told: `qcowtool --help` and each command's
# --help agree with the manual pages, the completions and README.md, both ways.
set -euo pipefail

: "${QCOWTOOL:?}"
bad=0

# Both are lists, one word a line, in any order.
agree() { # WHAT-OF-HELP LIST WHERE LIST
	local differing
	differing=$(diff <(sort -u <<<"$2") <(sort -u <<<"$4") | grep '^[<>]' || true)
	[[ -z $differing ]] || {
		printf '%s: --help (<) and %s (>) differ:\n%s\n' "$1" "$3" "$differing"
		bad=1
	}
}

# --- commands -----------------------------------------------------------------------------------

# The first words below "Commands:" up to the blank line.
commands_of_help() {
	"$QCOWTOOL" --help | awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }'
}

# "| `write` | ..." below the heading.
commands_of_readme() {
	awk '/^## / { on = ($0 == "## Commands") } on' README.md | sed -n 's/^| `\([a-z][a-z-]*\)` .*/\1/p'
}

commands_of_manual() { # ".It Ic write"
	sed -n 's/^[.]It Ic //p' docs/man/qcowtool.1
}

manual_pages() {
	find docs/man -name 'qcowtool-*.1' | sed 's/.*qcowtool-//;s/[.]1$//'
}

commands_of_bash() {
	bash -c '. completion/qcowtool.bash; printf "%s\n" $_qcowtool_commands'
}

commands_of_zsh() {
	awk '/^_qcowtool_commands/ { on = 1 } /^}/ { on = 0 } on' completion/_qcowtool |
		sed -n "s/^ *'\([a-z-]*\):.*/\1/p"
}

commands_of_fish() {
	sed -n 's/^complete -c qcowtool -n __qcowtool_none -a \([a-z-]*\) .*/\1/p' completion/qcowtool.fish
}

# --- options ------------------------------------------------------------------------------------

# "--at=OFFSET" or "[-c, --compress]" becomes "--at", or "-c" and "--compress".
cut_options() {
	grep -oE -e '(^|[^A-Za-z0-9-])--?[A-Za-z][a-z-]*' | grep -oE -e '--?[A-Za-z].*' || true
}

# Every spelling that a line of the option list of --help begins with.
options_of_help() { # COMMAND
	"$QCOWTOOL" "$1" --help | grep -oE '^ {2,6}(-[A-Za-z], )?--[a-z-]+|^ {2,6}-[A-Za-z]\b' | cut_options
}

# ".It Fl c , Fl -compress"
options_of_manual() { # COMMAND
	awk '/^[.]Sh/ { on = ($0 == ".Sh OPTIONS") } on && /^[.]It Fl/' "docs/man/qcowtool-$1.1" |
		grep -oE 'Fl [^ ]+' | sed 's/^Fl /-/'
}

options_of_bash() { # COMMAND
	bash -c '. completion/qcowtool.bash; _qcowtool_options "$1"' bash "$1" | cut_options
}

# _qcowtool_add 'write check' '(-c --compress)'{-c,--compress}'[...]'
options_of_zsh() { # COMMAND
	sed -n "s/^ *_qcowtool_add '\([^']*\)' \([^[]*\).*/ \1 |\2/p" completion/_qcowtool |
		grep "^[^|]* $1 " | cut -d '|' -f 2 | cut_options
}

# complete -c qcowtool -n '__qcowtool_is write check' -s c -l compress ...
options_of_fish() { # COMMAND
	sed -n "s/^complete -c qcowtool -n '__qcowtool_is \([^']*\)' \(.*\) -d .*/ \1 |\2/p" \
		completion/qcowtool.fish | grep "^[^|]* $1 " | cut -d '|' -f 2 |
		grep -oE -e '-[sl] [A-Za-z-]+' | sed 's/^-s /-/;s/^-l /--/'
}

# The table of what more than one command takes.
shared_of_readme() {
	awk '/^Options of / { on = /more than one/ } on && /^\| `-/' README.md | cut -d '|' -f 2 | cut_options
}

# The command's own lines below the table.
own_of_readme() { # COMMAND
	awk -v command="$1" '
		/^Options of / { on = /one command/; next }
		/^[^ ]/ { on = 0 }
		on && /^    [a-z]/ { mine = ($1 == command) }
		on && mine' README.md | cut_options
}

# With what stands in the table and is the command's.
options_of_readme() { # COMMAND LIST-OF-HELP
	own_of_readme "$1"
	shared_of_readme | grep -Fx -e "$2" || true
}

# --- what create -o takes -------------------------------------------------------------------------

keys_of_help() {
	ARGP_HELP_FMT=rmargin=500 "$QCOWTOOL" create --help | sed -n 's/^ *-o, --options=[^ ]* *//p' | grep -oE '[a-z][a-z0-9_]+'
}

keys_of_manual() { # ".It Cm compat"
	sed -n 's/^[.]It Cm //p' docs/man/qcowtool-create.1
}

keys_of_bash() {
	bash -c '. completion/qcowtool.bash; compopt() { :; }; cur=; COMP_WORDS=("" ""); COMP_CWORD=1; _qcowtool_keys; printf "%s\n" "${COMPREPLY[@]%=}"'
}

keys_of_zsh() {
	awk '/^_qcowtool_keys/ { on = 1 } /^}/ { on = 0 } on' completion/_qcowtool |
		sed -n "s/^ *'\([a-z0-9_]*\):.*/\1/p"
}

keys_of_fish() {
	sed -n 's/.*[$]before{\(.*\)}.*/\1/p' completion/qcowtool.fish | tr , '\n'
}

# --- all ----------------------------------------------------------------------------------------

commands=$(commands_of_help)
[[ -n $commands ]] || {
	echo "--help lists no commands"
	exit 1
}
agree commands "$commands" README.md "$(commands_of_readme)"
agree commands "$commands" docs/man/qcowtool.1 "$(commands_of_manual)"
agree commands "$commands" "the pages of docs/man" "$(manual_pages)"
agree commands "$commands" completion/qcowtool.bash "$(commands_of_bash)"
agree commands "$commands" completion/_qcowtool "$(commands_of_zsh)"
agree commands "$commands" completion/qcowtool.fish "$(commands_of_fish)"

keys=$(keys_of_help)
agree "create -o" "$keys" docs/man/qcowtool-create.1 "$(keys_of_manual)"
agree "create -o" "$keys" completion/qcowtool.bash "$(keys_of_bash)"
agree "create -o" "$keys" completion/_qcowtool "$(keys_of_zsh)"
agree "create -o" "$keys" completion/qcowtool.fish "$(keys_of_fish)"

all=
for command in $commands; do
	options=$(options_of_help "$command")
	all+=$options$'\n'
	agree "$command" "$options" README.md "$(options_of_readme "$command" "$options")"
	[[ ! -e docs/man/qcowtool-$command.1 ]] ||
		agree "$command" "$options" "docs/man/qcowtool-$command.1" "$(options_of_manual "$command")"
	agree "$command" "$options" completion/qcowtool.bash "$(options_of_bash "$command")"
	agree "$command" "$options" completion/_qcowtool "$(options_of_zsh "$command")"
	agree "$command" "$options" completion/qcowtool.fish "$(options_of_fish "$command")"
done
# One that no command takes any more.
stale=$(shared_of_readme | grep -vFx -e "$(sed '/^$/d' <<<"$all")" || true)
[[ -z $stale ]] || {
	echo "README.md lists options that no command takes: $stale"
	bad=1
}
exit "$bad"
