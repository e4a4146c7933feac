# SPDX-License-Identifier: MIT
# What the command-line tests share. A test file starts with
#
#	load ../../support/cli
#
# and each test then stands in an empty folder of its own, with $QCOWTOOL as the program.
# shellcheck shell=bash disable=SC2154  # status, output and stderr are set by bats

bats_require_minimum_version 1.5.0

setup() {
	[[ -x ${QCOWTOOL:-} ]] || {
		echo "QCOWTOOL must be the absolute path of the program" >&2
		return 1
	}
	cd "$BATS_TEST_TMPDIR" || return 1
}

complain() {
	printf '%s\n' "$@" "status: ${status-}" "stdout: ${output-}" "stderr: ${stderr-}" >&2
	return 1
}

# Runs qcowtool; afterwards $status, $output (stdout, without its last newline) and $stderr are set.
qcowtool() { # ARGUMENT...
	run --separate-stderr "$QCOWTOOL" "$@"
}

# ... and it must end well, without a word on stderr.
succeeds() { # ARGUMENT...
	qcowtool "$@"
	[[ $status == 0 && -z $stderr ]] || complain "expected success: qcowtool $*"
}

# ... and it must end with STATUS, with nothing on stdout and one line "qcowtool COMMAND: ..." on stderr.
fails() { # STATUS COMMAND ARGUMENT...
	local expected=$1
	shift
	qcowtool "$@"
	[[ $status == "$expected" && -z $output ]] || complain "expected status $expected: qcowtool $*"
	one_error_line "$1"
}

# The last run left exactly one line on stderr, which names the command.
one_error_line() { # COMMAND
	[[ -n $stderr && $stderr != *$'\n'* && $stderr == "qcowtool $1: "* ]] ||
		complain "expected one line 'qcowtool $1: ...' on stderr"
}

# The last run's error line holds the words.
says() { # WORDS
	[[ $stderr == *"$1"* ]] || complain "expected on stderr: $1"
}

# The last run's stdout is exactly this.
prints() { # TEXT
	[[ $output == "$1" ]] || complain "expected on stdout: $1"
}

# The last run's stdout is JSON for which the filter holds.
json() { # JQ-FILTER
	jq -e "$1" <<<"$output" >/dev/null || complain "expected of the JSON: $1"
}

sha() { # FILE
	sha256sum <"$1"
}

# For LUKS qemu-img measures how fast the machine is, and on a busy one that fails now and then.
make_encrypted() { # KEY-ID QEMU-IMG-CREATE-ARGUMENT...
	local key=$1 log=${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}/make_encrypted.log try
	shift
	for try in {1..30}; do
		qemu-img create -q -f qcow2 --object "secret,id=$key,data=secret" "$@" && return
		sleep "0.$((try % 4))"
	done 2>"$log"
	complain "qemu-img makes no encrypted image:" "$(<"$log")"
}

# A digest of what the guest sees, according to qemu-img.
guest_sha() { # IMAGE
	local raw
	raw=$(mktemp -p "$BATS_TEST_TMPDIR")
	qemu-img convert -f qcow2 -O raw "$1" "$raw"
	sha "$raw"
	rm -f "$raw"
}

# qemu-img check finds neither corruption nor leaks.
is_clean() { # IMAGE
	local report
	report=$(qemu-img check -f qcow2 "$1" 2>&1) || complain "qemu-img check $1:" "$report"
}

same_guest() { # IMAGE IMAGE
	local report
	report=$(qemu-img compare "$1" "$2" 2>&1) || complain "qemu-img compare $1 $2:" "$report"
}

# COMMAND... must leave the file as it is, byte for byte.
unchanged() { # FILE COMMAND...
	local file=$1 before
	before=$(sha "$file")
	shift
	"$@"
	[[ $(sha "$file") == "$before" ]] || complain "$file has changed"
}
