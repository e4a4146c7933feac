# SPDX-License-Identifier: MIT
# bash completion for qcowtool. A line of the table is the commands and what they take; a value that
# follows an option is completed by what stands behind its =.
# shellcheck shell=bash

_qcowtool_commands='info map read hash compare create write rebase snapshot-cow decompress check recover'

_qcowtool_table() {
	cat <<-'END'
		info: --backing-chain
		map: -s --start-offset= -l --max-length= --svg=
		read: --at= --length= --hex -o
		map read hash check: --snapshot=
		compare: -f --format= -F --other-format= -s --strict
		create: -b --backing= -F --backing-format= -o --options= --force
		write: --at= --hex= --text= --file= --fill= --zero= --discard= --expect= --script=
		write: -c --compress --grow
		rebase: -b --backing= -F --backing-format= -u --unsafe -c --compress --ignore-snapshots
		decompress: --at= --length= --batch=
		recover: --finish --drop
		info map hash compare write rebase snapshot-cow decompress check recover: --output=
		info map read hash compare create write rebase snapshot-cow decompress check recover: -q --quiet
		info map read hash compare create snapshot-cow check recover: -U --force-share
		info map read hash compare write rebase recover: --chain=
		info map read hash compare create write rebase snapshot-cow decompress check recover: --no-sandbox
		write rebase snapshot-cow decompress check recover: -n --dry-run
		create write rebase snapshot-cow decompress check recover: --no-sync
		write rebase snapshot-cow decompress: --trust-refcounts
		check: -r --repair= --deep
		read hash compare create write check rebase decompress: -p --progress
		read hash compare decompress check: -j --jobs=
		info map read hash compare create write rebase snapshot-cow decompress check recover: -h --help
	END
}

_qcowtool_options() { # COMMAND
	_qcowtool_table | while IFS=: read -r commands options; do
		[[ " $commands " != *" $1 "* ]] || echo "$options"
	done
}

# The snapshots' names, as the image tells them. Those with control characters are left out.
_qcowtool_snapshots() { # PROGRAM IMAGE
	"$1" snapshot-cow list --output=json -U -- "$2" 2>/dev/null |
		sed -n '/^ *"name": "\(.*\)",$/{s//\1/;h;s/\\["\\]//g;/\\/d;g;s/\\\(["\\]\)/\1/g;p}'
}

# The first word behind the command that is a file.
_qcowtool_image() {
	local word i
	for ((i = 2; i < ${#COMP_WORDS[@]}; i++)); do
		word=${COMP_WORDS[i]//[\\\'\"]/}
		word=${word/#\~/$HOME}
		[[ $i == "$COMP_CWORD" || ! (-f $word || -b $word) ]] || {
			printf '%s\n' "$word"
			return
		}
	done
}

_qcowtool_words() { # WORDS
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_qcowtool_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_qcowtool_names() {
	local name
	while IFS= read -r name; do
		[[ $name == "${cur//[\\\'\"]/}"* ]] && COMPREPLY+=("$(printf '%q' "$name")")
	done < <(_qcowtool_snapshots "${COMP_WORDS[0]/#\~/$HOME}" "$(_qcowtool_image)")
}

_qcowtool_values_of() { # KEY
	case $1 in
	compat) echo 1.1 v3 0.10 v2 ;;
	cluster_size) echo 512 4k 16k 64k 256k 1M 2M ;;
	refcount_bits) echo 1 2 4 8 16 32 64 ;;
	compression_type) echo zlib zstd ;;
	extended_l2 | lazy_refcounts | data_file_raw) echo on off ;;
	preallocation) echo off metadata falloc full ;;
	esac
}

# The key before the = that the cursor is behind, if it is behind one.
_qcowtool_key() {
	local i=$((COMP_CWORD - 1))
	[[ ${COMP_WORDS[COMP_CWORD]} != = ]] || i=$COMP_CWORD
	[[ $cur == *,* || ${COMP_WORDS[i]} != = ]] || echo "${COMP_WORDS[i - 1]##*,}"
}

_qcowtool_keys() {
	local key=${cur##*,} name of values
	local before=${cur%"$key"}
	of=$(_qcowtool_key)
	values=$(_qcowtool_values_of "$of")
	if [[ $of == data_file ]]; then
		_qcowtool_files
		return
	elif [[ $values ]]; then
		_qcowtool_words "$values"
		return
	fi
	for name in compat cluster_size refcount_bits compression_type extended_l2 lazy_refcounts \
		preallocation data_file data_file_raw; do
		[[ $name != "$key"* ]] || COMPREPLY+=("$before$name=")
	done
	compopt -o nospace 2>/dev/null
}

# Returns 1 if the option takes no value, or one that nobody can guess.
_qcowtool_value() { # COMMAND OPTION
	case $1:$2 in
	*:--output) _qcowtool_words 'human json' ;;
	*:--chain) _qcowtool_words 'none dir any' ;;
	*:--snapshot) _qcowtool_names ;;
	create:-F | rebase:-F | compare:-[fF] | *:--backing-format | *:--format | *:--other-format) _qcowtool_words 'qcow2 raw' ;;
	create:-o | create:--options) _qcowtool_keys ;;
	create:-b | rebase:-b | *:--backing | read:-o | map:--svg | write:--file | write:--script) _qcowtool_files ;;
	map:-[sl] | *:--start-offset | *:--max-length | *:--at | *:--length | *:--batch | *:-j | *:--jobs) ;;
	*:--hex | *:--text | *:--fill | *:--zero | *:--discard | *:--expect)
		[[ $1 == write ]] || return 1
		;;
	*) return 1 ;;
	esac
	return 0
}

# The words of snapshot-cow that are no options, counted up to the cursor.
_qcowtool_place() {
	local i place=0
	for ((i = 2; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -* || ${COMP_WORDS[i]} == = || ${COMP_WORDS[i - 1]} == = ]] ||
			place=$((place + 1))
	done
	echo "$place"
}

_qcowtool_snapshot_cow() {
	local place
	place=$(_qcowtool_place)
	case $place in
	0) _qcowtool_words 'create list apply delete rename' ;;
	1) _qcowtool_files ;;
	2) _qcowtool_names ;;
	esac
}

# bash cuts at each =, so --options=compat=v3 is five words. Prints the number of the first.
_qcowtool_run() {
	local i=$COMP_CWORD
	while [[ $i -gt 2 && (${COMP_WORDS[i]} == = || ${COMP_WORDS[i - 1]} == =) ]]; do
		i=$((i - 1))
	done
	echo "$i"
}

_qcowtool() {
	local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} option first
	COMPREPLY=()
	if [[ $COMP_CWORD == 1 ]]; then
		_qcowtool_words "$_qcowtool_commands -h --help --version"
		return
	fi
	first=$(_qcowtool_run)
	option=${COMP_WORDS[first - 1]}
	[[ $first == "$COMP_CWORD" || ${COMP_WORDS[first]} != -* ]] || option=${COMP_WORDS[first]}
	[[ $cur != = ]] || cur=
	if [[ $option == -* ]] && _qcowtool_value "$command" "$option"; then
		return
	elif [[ $cur == -* ]]; then
		_qcowtool_words "$(_qcowtool_options "$command")"
		[[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace 2>/dev/null
	elif [[ $command == snapshot-cow ]]; then
		_qcowtool_snapshot_cow
	else
		_qcowtool_files
	fi
}

complete -F _qcowtool qcowtool
