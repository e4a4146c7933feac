# What holds before any command runs.

load ../../support/cli

@test "--help lists the commands on stdout" {
	succeeds --help
	[[ $output == "Usage: qcowtool "* ]]
	[[ $output == *"Exit status:"* ]]
}

@test "--version says what it is, and how images from strangers are kept in" {
	succeeds --version
	[[ ${#lines[@]} == 2 ]]
	[[ ${lines[0]} =~ ^qcowtool\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
	[[ $("$QCOWTOOL" -V) == "$output" ]]
	[[ ${lines[1]} =~ ^sandbox:\ limits(,\ landlock)?(,\ seccomp)?$ ]]
}

@test "no command, an unknown one and an unknown option are one line and status 64" {
	for words in "" "frobnicate" "--frobnicate" "-x info"; do
		# shellcheck disable=SC2086
		qcowtool $words
		[[ $status == 64 && -z $output ]]
		[[ $stderr == "qcowtool: "* && $stderr != *$'\n'* ]]
	done
}

@test "every command of --help has a --help of its own" {
	succeeds --help
	commands=$(awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' <<<"$output")
	[[ -n $commands ]]
	for command in $commands; do
		succeeds "$command" --help
		[[ $output == "Usage: qcowtool $command "* ]]
	done
}

@test "every command answers wrong use with one line and status 64" {
	succeeds --help
	commands=$(awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' <<<"$output")
	for command in $commands; do
		fails 64 "$command"
		fails 64 "$command" --frobnicate image
		fails 64 "$command" a b c d e f
	done
}

@test "every command says when the image is not there" {
	for command in info map read check recover "write --hex=00"; do
		# shellcheck disable=SC2086
		fails 1 $command absent.qcow2
		says "absent.qcow2: "
		says "No such file or directory"
	done
}

@test "a result that cannot be printed is a failure" {
	run --separate-stderr bash -c '"$QCOWTOOL" --help >/dev/full'
	[[ $status == 1 ]]
	[[ $stderr == "qcowtool: cannot write the result: No space left on device" ]]
}

@test "a change that is made stays a success when its result cannot be printed" {
	qemu-img create -q -f qcow2 disk.qcow2 1M
	run --separate-stderr bash -c '"$QCOWTOOL" write disk.qcow2 --hex=a5 >/dev/full'
	[[ $status == 0 ]]
	[[ $stderr == "qcowtool write: cannot write the result: No space left on device" ]]
	[[ $(od -An -tx1 -N1 <("$QCOWTOOL" read --length=1 disk.qcow2)) == " a5" ]]
}

@test "a limit on file sizes is an error like any other" {
	qemu-img create -q -f qcow2 disk.qcow2 1M
	head -c 1M /dev/urandom >data.bin
	before=$(guest_sha disk.qcow2)
	run --separate-stderr bash -c 'ulimit -f 300; "$QCOWTOOL" write disk.qcow2 --file=data.bin'
	[[ $status == 1 ]]
	one_error_line write
	says "File too large"
	[[ $(guest_sha disk.qcow2) == "$before" ]]
	is_clean disk.qcow2
}

@test "what has no stream to go to goes nowhere, and into no file that is opened" {
	head -c 2M /dev/urandom >base.raw
	for closed in '2>/dev/null' '0<&-' '1>&-' '2>&-' '0<&- 1>&-' '0<&- 2>&-' '1>&- 2>&-' '0<&- 1>&- 2>&-'; do
		qemu-img create -q -f qcow2 -b base.raw -F raw over.qcow2
		run bash -c '"$QCOWTOOL" rebase -p -b "" over.qcow2 '"$closed"
		[[ $status == 0 ]] || complain "$closed"
		[[ -e expected.qcow2 ]] || cp over.qcow2 expected.qcow2
		cmp over.qcow2 expected.qcow2 || complain "$closed"
	done
}

@test "a stream that is closed is an error like any other" {
	qemu-img create -q -f qcow2 disk.qcow2 1M
	run --separate-stderr bash -c '"$QCOWTOOL" read disk.qcow2 >&-'
	[[ $status == 1 && $stderr == "qcowtool read: disk.qcow2: cannot write to stdout: Bad file descriptor" ]]
	run --separate-stderr bash -c '"$QCOWTOOL" write disk.qcow2 --file=- <&-'
	[[ $status == 1 && $stderr == "qcowtool write: stdin: Bad file descriptor" ]]
	is_clean disk.qcow2
}

@test "an error line is one write, so that no other program's text gets into it" {
	cat >first.py <<-'END'
		import os, socket, subprocess
		ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		subprocess.run([os.environ["QCOWTOOL"], "info", "absent.qcow2"], stderr=theirs)
		print(ours.recv(4096).decode(), end="")
	END
	run python3 first.py
	prints "qcowtool info: absent.qcow2: cannot open: No such file or directory"
}
