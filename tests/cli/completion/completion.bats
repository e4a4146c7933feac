# What a shell offers. That the options are those of --help is a matter of ./dev lint.

load ../../support/cli

COMPLETION=$BATS_TEST_DIRNAME/../../../completion

# An image with snapshots, and qcowtool in the PATH.
make_scene() {
	mkdir bin
	ln -s "$QCOWTOOL" bin/qcowtool
	PATH=$PWD/bin:$PATH
	qcowtool create -q disk.qcow2 1M
	qcowtool snapshot-cow create disk.qcow2 before
	qcowtool snapshot-cow create disk.qcow2 'odd " \ name'
}

# The words as bash cuts them, the last one under the cursor; the offers, one a line.
offers_of_bash() { # WORD...
	bash -c '
		. "$1"
		COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
		_qcowtool
		printf "%s\n" "${COMPREPLY[@]}"' bash "$COMPLETION/qcowtool.bash" "$@"
}

offers_of_fish() { # LINE
	HOME=$PWD fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$COMPLETION/qcowtool.fish" "$1" |
		cut -f 1
}

same_lines() { # ACTUAL EXPECTED
	[[ $1 == "$2" ]] || complain "offered:" "$1" "expected:" "$2"
}

@test "bash offers commands, options, values, files and snapshots" {
	make_scene
	same_lines "$(offers_of_bash qcowtool re)" $'read\nrebase\nrecover'
	same_lines "$(offers_of_bash qcowtool write --no)" $'--no-sandbox\n--no-sync'
	same_lines "$(offers_of_bash qcowtool info --output = j)" "json"
	same_lines "$(offers_of_bash qcowtool info --output =)" $'human\njson'
	same_lines "$(offers_of_bash qcowtool create -o compat = v3,clu)" "v3,cluster_size="
	same_lines "$(offers_of_bash qcowtool create -o compat = v3,compression_type = '')" $'zlib\nzstd'
	same_lines "$(offers_of_bash qcowtool create --options = preallocation =)" $'off\nmetadata\nfalloc\nfull'
	same_lines "$(offers_of_bash qcowtool create -o data_file = d)" "disk.qcow2"
	same_lines "$(offers_of_bash qcowtool create --options = pre)" "preallocation="
	same_lines "$(offers_of_bash qcowtool check d)" "disk.qcow2"
	same_lines "$(offers_of_bash qcowtool snapshot-cow re)" "rename"
	same_lines "$(offers_of_bash qcowtool snapshot-cow -q apply d)" "disk.qcow2"
	same_lines "$(offers_of_bash qcowtool snapshot-cow apply disk.qcow2 '')" $'before\nodd\\ \\"\\ \\\\\\ name'
	same_lines "$(offers_of_bash qcowtool read disk.qcow2 --snapshot = b)" "before"
}

@test "bash offers no snapshots of what is no image" {
	make_scene
	echo text >disk.qcow2
	same_lines "$(offers_of_bash qcowtool snapshot-cow apply disk.qcow2 '')" ""
	same_lines "$(offers_of_bash qcowtool snapshot-cow apply absent.qcow2 '')" ""
}

@test "fish offers commands, options, values, files and snapshots" {
	command -v fish >/dev/null || skip "no fish"
	make_scene
	same_lines "$(offers_of_fish 'qcowtool re')" $'read\nrebase\nrecover'
	same_lines "$(offers_of_fish 'qcowtool write --no')" $'--no-sandbox\n--no-sync'
	same_lines "$(offers_of_fish 'qcowtool info --output=j')" "--output=json"
	same_lines "$(offers_of_fish 'qcowtool check d')" "disk.qcow2"
	same_lines "$(offers_of_fish 'qcowtool snapshot-cow re')" "rename"
	same_lines "$(offers_of_fish 'qcowtool snapshot-cow apply disk.qcow2 ')" $'before\nodd " \\ name'
	same_lines "$(offers_of_fish 'qcowtool read disk.qcow2 --snapshot=b')" "--snapshot=before"
}
