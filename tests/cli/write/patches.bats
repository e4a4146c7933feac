#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What `write` writes: the sources, their order, scripts, and what it prints.
# shellcheck shell=bash disable=SC2154,SC2030,SC2031,SC2016

load ../../support/cli

disk() {
	qemu-img create -q -f qcow2 disk.qcow2 1M
}

# LENGTH bytes of the disk at OFFSET, in hex.
bytes_at() { # OFFSET LENGTH
	"$QCOWTOOL" read --at="$1" --length="$2" disk.qcow2 | od -An -v -tx1 | tr -d ' \n'
}

shows() { # OFFSET HEX
	local now
	now=$(bytes_at "$1" $((${#2} / 2)))
	[[ $now == "$2" ]] || complain "at $1: expected $2, found $now"
}

@test "sources follow one another from --at on, and later ones win" {
	disk
	printf 'file' >part
	succeeds write disk.qcow2 --at=0x100 --hex='01 02 03' --text='ab' --file=part --fill=0xee:2 --at=257 --hex=ff
	shows 0x100 01ff03616266696c65eeee
	is_clean disk.qcow2
}

@test "options and the image may stand in any order" {
	disk
	succeeds write --at=4k --hex=aa disk.qcow2 --hex=bb
	shows 4096 aabb
}

@test "zero and discard read as zeroes, within clusters and over them" {
	disk
	succeeds write disk.qcow2 --fill=0x77:512k
	succeeds write disk.qcow2 --at=100 --zero=200k --at=300k --discard=100k
	shows 99 7700
	shows $((100 + 200 * 1024 - 1)) 0077
	shows $((300 * 1024 - 1)) 7700
	shows $((400 * 1024 - 1)) 0077
	is_clean disk.qcow2
}

@test "stdin is a source, once" {
	disk
	printf 'from stdin' | "$QCOWTOOL" write -q disk.qcow2 --at=5 --file=-
	shows 5 66726f6d20737464696e
	unchanged disk.qcow2 fails 64 write disk.qcow2 --file=- --file=- </dev/null
	says "stdin can be used only once"
	unchanged disk.qcow2 fails 64 write disk.qcow2 --file=- --script=- </dev/null
	says "stdin can be used only once"
}

@test "a pipe from a process is a source" {
	disk
	"$QCOWTOOL" write -q disk.qcow2 --at=1k --file=<(printf 'abc')
	shows 1024 616263
}

@test "--expect is about the bytes before any patch, and does not advance" {
	disk
	succeeds write disk.qcow2 --at=0 --hex='01 02 03 04'
	succeeds write disk.qcow2 --at=0 --hex=ff --at=0 --expect='0102' --hex=ee
	shows 0 ee020304
	succeeds write disk.qcow2 --at=1 --expect=02 --expect='02 03' --hex=aa
	shows 0 eeaa0304
}

@test "an --expect that does not match changes nothing and says where" {
	disk
	succeeds write disk.qcow2 --at=0x1fe --hex='55 aa'
	unchanged disk.qcow2 fails 1 write disk.qcow2 --at=0 --hex=11 --at=0x1fe --expect='55 ab'
	says "disk.qcow2: expected 0xab at offset 0x1ff, found 0xaa"
}

@test "a script says the same words" {
	disk
	printf 'xyz' >'a file'
	cat >script <<-'END'
		# a comment, and an empty line

		at 0x10 hex 01 02
		  0304	# digits end with their line
		at 32 text "two words\n\t\\\"\x41" hex 05
		at 64 text the rest # of the line
		at 128 file "a file" fill 0xbb:2 zero 2 discard 1
		at 0 expect 0000 hex 99
	END
	sed -i '/^  0304/d' script
	succeeds write disk.qcow2 --script=script
	shows 0x10 0102
	shows 32 74776f20776f7264730a095c224105
	shows 64 7468652072657374202320
	shows 128 78797abbbb0000
	shows 0 99
}

@test "a script comes from stdin, and joins the words around it" {
	disk
	printf 'hex 02\n' | "$QCOWTOOL" write -q disk.qcow2 --at=8 --hex=01 --script=- --hex=03
	shows 8 010203
}

@test "what is wrong with a script is said with its line" {
	disk
	while IFS='|' read -r line words; do
		printf '# first\n%b\n' "$line" >script
		unchanged disk.qcow2 fails 64 write disk.qcow2 --script=script
		says "script:2: "
		says "$words"
	done <<-'END'
		jump 0|unknown word 'jump'
		at|the value is missing
		hex|the value is missing
		hex 1|no pair of hex digits
		at 0 text "abc|the quote does not end
		at 0 text "a\\q"|unknown escape
		fill 256:1|'256' is no byte
		fill 5|not BYTE:LENGTH
	END
	unchanged disk.qcow2 fails 1 write disk.qcow2 --script=absent
	says "absent: No such file or directory"
}

@test "an offset behind its source changes nothing" {
	disk
	unchanged disk.qcow2 fails 64 write disk.qcow2 --hex=01 --at=8
	unchanged disk.qcow2 fails 64 write disk.qcow2 --script=- <<<'hex 01 at 8'
	says "no source follows"
	succeeds write disk.qcow2 --hex=01 --at=8 --expect=0000
}

@test "--grow makes the disk long enough, and only with it" {
	disk
	unchanged disk.qcow2 fails 1 write disk.qcow2 --at=1M --hex=01
	says "past the end of the disk"
	succeeds write --grow disk.qcow2 --at=3M --hex=01
	[[ $(qemu-img info --output=json disk.qcow2 | jq '."virtual-size"') == $((3 * 1024 * 1024 + 512)) ]]
	shows $((3 * 1024 * 1024 - 1)) 0001
	is_clean disk.qcow2
}

@test "--compress stores whole clusters compressed, with the image's own method" {
	for type in zlib zstd; do
		rm -f disk.qcow2
		qemu-img create -q -f qcow2 -o compression_type=$type disk.qcow2 1M
		succeeds write -c disk.qcow2 --fill=0x42:256k
		[[ $(qemu-img check --output=json disk.qcow2 | jq '."compressed-clusters"') == 4 ]]
		shows 262143 4200
		is_clean disk.qcow2
	done
}

@test "a dry run reports as much and changes nothing" {
	disk
	succeeds write disk.qcow2 --fill=1:300k
	unchanged disk.qcow2 succeeds write -n --output=json disk.qcow2 --at=100k --fill=2:300k
	json '.committed == false and ."bytes-written" == 307200'
	dry=$(jq -c 'del(.committed)' <<<"$output")
	succeeds write --output=json disk.qcow2 --at=100k --fill=2:300k
	json '.committed == true'
	[[ $(jq -c 'del(.committed)' <<<"$output") == "$dry" ]]
}

@test "the JSON has exactly the documented keys" {
	disk
	succeeds write --output=json disk.qcow2 --hex=01 --text=ab
	json 'keys == (["filename", "patches", "bytes-written", "clusters-allocated", "clusters-freed",
		"l2-tables", "refcount-blocks", "committed"] | sort)'
	json '.filename == "disk.qcow2" and .patches == 2 and ."bytes-written" == 3
		and ."clusters-allocated" == 1 and ."clusters-freed" == 0 and ."l2-tables" == 1
		and .committed == true'
}

@test "the text is one line, and -q is none" {
	disk
	succeeds write disk.qcow2 --hex=01
	[[ $output == "disk.qcow2: 1 patch, "* && $output != *$'\n'* ]]
	succeeds write -q disk.qcow2 --hex=02
	prints ""
}

@test "the same write of the same image gives the same bytes" {
	disk
	succeeds write disk.qcow2 --fill=7:200k
	cp disk.qcow2 other.qcow2
	succeeds write disk.qcow2 --at=5k --fill=9:100k --zero=64k
	succeeds write other.qcow2 --at=5k --fill=9:100k --zero=64k
	cmp disk.qcow2 other.qcow2
}

@test "a partial write over a backing file keeps the rest of its cluster" {
	qemu-img create -q -f raw base.img 1M
	head -c 1M /dev/urandom >base.img
	qemu-img create -q -f qcow2 -b base.img -F raw disk.qcow2
	cp base.img expected.img
	printf 'patch' | dd of=expected.img bs=1 seek=70000 conv=notrunc status=none
	succeeds write disk.qcow2 --at=70000 --text=patch
	same_guest disk.qcow2 expected.img
	is_clean disk.qcow2
}
