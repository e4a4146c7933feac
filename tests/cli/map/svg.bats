#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# map --svg draws what an image's file is made of, in a file that appears whole or not at all.

load ../../support/cli

# Every < begins a tag, every & a reference, each tag is closed in turn, and there is one root. It
# knows what the program writes of XML, and that no attribute holds a >.
is_nested() { # FILE
	LC_ALL=C awk '
	function bad(why) { print "line " NR ": " why; failed = 1; exit 1 }
	{
		rest = $0
		gsub(/&(amp|lt|gt);/, "", rest)
		if (rest ~ /&/) bad("a bare &")
		while ((at = match(rest, /<[^<>]*>/))) {
			text = substr(rest, 1, at - 1)
			tag = substr(rest, at + 1, RLENGTH - 2)
			rest = substr(rest, at + RLENGTH)
			if (text ~ /[<>]/) bad("a bare angle bracket")
			if (tag ~ /^\//) {
				if (!depth || open[depth--] != substr(tag, 2)) bad("closes " tag)
				continue
			}
			if (!depth && roots++) bad("a second root")
			if (gsub(/"/, "\"", tag) % 2) bad("quotes in " tag)
			if (tag ~ /\/$/) continue
			split(tag, word, " ")
			open[++depth] = word[1]
		}
		if (rest ~ /[<>]/) bad("a bare angle bracket")
	}
	END { if (!failed && (depth || roots != 1)) { print "not closed: " open[depth]; exit 1 } }
	' <(tr '\n' ' ' <"$1")
}

# By our own means on every machine, and by a parser where there is one.
is_well_formed() { # FILE
	local report
	[[ $(head -c 5 "$1") == "<svg " ]] || complain "$1 does not begin as SVG"
	report=$(is_nested "$1") || complain "$1 is no XML:" "$report"
	! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' "$1" || complain "control characters in $1"
	if command -v xmllint >/dev/null; then
		report=$(xmllint --noout --nonet "$1" 2>&1) || complain "xmllint:" "$report"
	fi
	if python3 -c 'import xml.dom.minidom' 2>/dev/null; then
		report=$(python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$1" 2>&1) ||
			complain "python3:" "$report"
	fi
}

# The kinds in the legend.
shows() { # FILE KIND...
	local file=$1 kind
	shift
	for kind; do
		grep -q "/><text [^>]*>$kind</text>" "$file" || complain "no '$kind' in $file"
	done
}

make_rich() {
	qemu-img create -q -f qcow2 -o cluster_size=64k rich.qcow2 4M
	qemu-io -c 'write -P 1 0 256k' -c 'write -c -P 2 1M 128k' rich.qcow2 >/dev/null
	qemu-img snapshot -c one rich.qcow2
	qemu-io -c 'write -P 3 64k 64k' rich.qcow2 >/dev/null
	qemu-img bitmap --add rich.qcow2 changes
	truncate -s +128k rich.qcow2
	# The block of refcounts is the third cluster; the last cluster of the file gets a count.
	printf '\0\1' | dd of=rich.qcow2 bs=1 conv=notrunc status=none \
		seek=$((0x20000 + 2 * ($(stat -c %s rich.qcow2) / 65536 - 1)))
}

only_files() { # NAME...
	[[ $(find . -mindepth 1 ! -name "separate-stderr-*" -printf '%f\n' | sort) == "$(printf '%s\n' "$@" | sort)" ]] ||
		complain "left behind:" "$(ls -lA)"
}

@test "a picture shows every kind there is, and leaves the image as it was" {
	make_rich
	unchanged rich.qcow2 succeeds map --svg=rich.svg rich.qcow2
	prints ""
	is_well_formed rich.svg
	shows rich.svg header 'refcount table and blocks' 'L1 table' 'L2 tables' data \
		'compressed data' 'only of snapshots' bitmaps leaked free
	only_files rich.qcow2 rich.svg
}

@test "the same image gives the same bytes, with the sandbox and without" {
	make_rich
	succeeds map --svg=one.svg rich.qcow2
	succeeds map --svg=two.svg rich.qcow2
	succeeds map --no-sandbox --svg=three.svg rich.qcow2
	cmp one.svg two.svg
	cmp one.svg three.svg
}

@test "whatever a file is called, the picture is well-formed" {
	local name number=0
	for name in '<b>&"x"'\''].qcow2' $'line\nbreak\e\x7f.qcow2' $'no\xff\xc3utf-8.qcow2' \
		$'\xef\xbf\xbe\xef\xbf\xbfx.qcow2' "$(printf 'ä%.0s' {1..110})"; do
		qemu-img create -q -f qcow2 plain 1M
		mv plain "$name"
		succeeds map --svg=$((++number)).svg "$name"
		is_well_formed $number.svg
	done
	grep -qF "<title>&lt;b&gt;&amp;\"x\"'].qcow2</title>" 1.svg
	grep -q "<title>ä\{80\}…</title>" 5.svg
}

@test "the check for well-formedness finds what is not" {
	local broken
	for broken in '<svg >' '<svg ><g></svg>' '<svg >&</svg>' '<svg ></svg><g/>' '<svg >a<b</svg>' \
		'<svg a="></svg>'; do
		echo "$broken" >broken.svg
		run is_nested broken.svg
		[[ $status == 1 ]] || complain "taken for XML: $broken"
	done
}

@test "an old picture is replaced, and no other file" {
	make_rich
	succeeds map --svg=rich.svg rich.qcow2
	cp rich.svg before.svg
	qemu-io -c 'write -P 3 2M 64k' rich.qcow2 >/dev/null
	succeeds map --svg=rich.svg rich.qcow2
	run ! cmp -s rich.svg before.svg
	is_well_formed rich.svg
	echo precious >notes
	unchanged notes fails 1 map --svg=notes rich.qcow2
	says "is no SVG picture, so it is not replaced"
	unchanged rich.qcow2 fails 1 map --svg=rich.qcow2 rich.qcow2
	printf '<s' >short
	unchanged short fails 1 map --svg=short rich.qcow2
	mkdir folder
	fails 1 map --svg=folder rich.qcow2
	fails 1 map --svg=missing/x.svg rich.qcow2
	only_files rich.qcow2 rich.svg before.svg notes short folder
}

@test "what cannot be looked through leaves nothing behind" {
	local how
	make_rich
	echo 'no image' >raw
	# A table of snapshots at no cluster's start
	cp rich.qcow2 lost.qcow2
	printf '\0\0\0\0\0\0\0\1' | dd of=lost.qcow2 bs=1 seek=64 conv=notrunc status=none
	for how in --chain=any --no-sandbox; do
		fails 1 map "$how" --svg=x.svg raw
		fails 1 map "$how" --svg=x.svg lost.qcow2
		fails 1 map "$how" --svg=x.svg absent.qcow2
	done
	only_files rich.qcow2 raw lost.qcow2
	succeeds map --svg=old.svg rich.qcow2
	unchanged old.svg fails 1 map --svg=old.svg lost.qcow2
}

@test "--svg goes with no part of the disk and no other format" {
	make_rich
	for option in --start-offset=0 --max-length=1M --snapshot=one --output=json; do
		qcowtool map --svg=x.svg "$option" rich.qcow2
		[[ $status == 64 && $stderr == *'--svg shows the whole file'* ]] ||
			complain "taken: $option"
	done
	only_files rich.qcow2
}

@test "where no part of the disk is in the file, the picture says so instead" {
	succeeds create -q empty.qcow2 1M
	succeeds map --svg=empty.svg empty.qcow2
	grep -q 'no part of the disk is stored in this file' empty.svg
	qemu-img create -q -f qcow2 -o data_file=outside.raw,preallocation=metadata split.qcow2 1M
	succeeds map --svg=split.svg split.qcow2
	grep -q 'what the disk holds is in an external data file' split.svg
	! grep -q 'class="dots"' empty.svg || complain "dots of nothing"
	is_well_formed split.svg
}

@test "what is leaked is round, and nothing else" {
	make_rich
	succeeds map --svg=rich.svg rich.qcow2
	[[ $(grep -c '<rect class="k9" .* width="34" height="34" rx="17"/>' rich.svg) == 1 ]]
	[[ $(grep -c 'rx="17"' rich.svg) == 1 ]]
}
