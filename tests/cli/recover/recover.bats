#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What a crash leaves, what `recover` says about it, and what it makes of it. The states are made by
# the program of interrupted.c, which lies beside the tests of the build that $QCOWTOOL comes from.
# shellcheck shell=bash disable=SC2154,SC2030,SC2031

load ../../support/cli

setup() {
	INTERRUPTED=${INTERRUPTED:-$(dirname "${QCOWTOOL:-.}")/../tests/interrupted}
	[[ -x $INTERRUPTED ]] || {
		echo "INTERRUPTED must be the path of the program made from interrupted.c" >&2
		return 1
	}
	cd "$BATS_TEST_TMPDIR" || return 1
	qemu-img create -q -f qcow2 disk.qcow2 1M
	qemu-io -c 'write -q -P 0x11 0 512k' disk.qcow2
	cp disk.qcow2 old.qcow2
	cp disk.qcow2 new.qcow2
	"$QCOWTOOL" write -q new.qcow2 --fill=0x5a:64k --at=256k --discard=64k
}

interrupt() { # STATE
	"$INTERRUPTED" disk.qcow2 "$1"
	[[ $(stat -c %s disk.qcow2) -gt $(stat -c %s old.qcow2) ]]
}

poke() { # OFFSET HEX
	printf '%b' "\\x$2" | dd of=disk.qcow2 bs=1 seek="$1" conv=notrunc status=none
}

# recover in both renderings, first without doing it; then the image is STATE's, sound, and IMAGE.
settles() { # STATE IMAGE
	unchanged disk.qcow2 succeeds recover -n disk.qcow2
	[[ $output == *"Journal at 0x"* && $output == *"refcount-table-offset"* ]] ||
		complain "expected the journal"
	unchanged disk.qcow2 succeeds recover -n --output=json disk.qcow2
	json ".state == \"$1\" and .settled == false and (.records | length) > 2"
	succeeds recover --output=json disk.qcow2
	json ".state == \"$1\" and .settled == true"
	is_clean disk.qcow2
	same_guest disk.qcow2 "$2"
	cmp disk.qcow2 "$2"
	succeeds recover disk.qcow2
	prints "disk.qcow2: no interrupted transaction"
}

@test "an image without a journal is left alone" {
	unchanged disk.qcow2 succeeds recover disk.qcow2
	prints "disk.qcow2: no interrupted transaction"
	unchanged disk.qcow2 succeeds recover --output=json disk.qcow2
	json '. == {filename: "disk.qcow2", state: "clean", settled: false, records: []}'
	succeeds recover -q disk.qcow2
	prints ""
}

@test "digests are exact in JSON" {
	interrupt before
	succeeds recover -n --output=json disk.qcow2
	[[ $output =~ \"digest\":\ (\"|[0-9]) && ! $output =~ [0-9]\.[0-9]+e ]] || complain "a digest is rounded"
}

@test "a crash leaves an image that every program reads, without a leak" {
	interrupt before
	is_clean disk.qcow2
	same_guest disk.qcow2 old.qcow2
	cp old.qcow2 disk.qcow2
	interrupt after
	is_clean disk.qcow2
	same_guest disk.qcow2 new.qcow2
}

@test "a crash before the flip is the old image" {
	interrupt before
	same_guest disk.qcow2 old.qcow2
	unchanged disk.qcow2 succeeds recover -n --output=json disk.qcow2
	json '.state == "not-committed" and .before.size == 1048576'
	json '[.records[].kind] | contains(["l1-table", "l2-table", "refcount-table", "refcount-block"])'
	succeeds recover disk.qcow2
	[[ $output == *"interrupted before its commit: the image is the old one"* ]]
	is_clean disk.qcow2
	same_guest disk.qcow2 old.qcow2
	[[ $(stat -c %s disk.qcow2) == $(stat -c %s old.qcow2) ]]
	succeeds recover disk.qcow2
	prints "disk.qcow2: no interrupted transaction"
}

@test "a crash after the flip is the new image" {
	interrupt after
	settles committed new.qcow2
}

@test "a torn header with all new tables in place becomes the new one" {
	for arrived in 46 47 48 53; do # between the L1 table's offset and the refcount table's
		cp old.qcow2 disk.qcow2
		interrupt torn-$arrived
		settles torn-to-new new.qcow2
	done
}

@test "a torn header with a new table damaged becomes the old one" {
	interrupt torn-47
	succeeds recover -n --output=json disk.qcow2
	at=$(jq '.records[] | select(.kind == "l2-table") | ."new-host"' <<<"$output")
	poke $((at + 9)) 5f
	succeeds recover --output=json disk.qcow2
	json '.state == "torn-to-old" and .settled == true'
	is_clean disk.qcow2
	same_guest disk.qcow2 old.qcow2
}

@test "a torn header with tables damaged on both sides is left alone" {
	interrupt torn-47
	succeeds recover -n --output=json disk.qcow2
	at=$(jq '.records[] | select(.kind == "l2-table") | ."new-host"' <<<"$output")
	poke $((at + 9)) 5f
	at=$(jq '.records[] | select(.kind == "l2-table") | ."old-host"' <<<"$output")
	poke $((at + 7)) 5f
	before=$(sha disk.qcow2)
	qcowtool recover disk.qcow2
	[[ $status == 1 && $stderr == *"neither the old nor the new tables are whole"* ]]
	[[ $(sha disk.qcow2) == "$before" ]]
	unchanged disk.qcow2 fails 1 write disk.qcow2 --hex=01
	says "neither the old nor the new tables are whole"
}

# The new size of the disk has arrived, and nothing behind it: that is an image, too.
doubtful() {
	interrupt grown-32
	[[ $(qemu-img info --output=json disk.qcow2 | jq '."virtual-size"') == 2097152 ]]
	qemu-img check -q disk.qcow2
}

@test "a header that may be torn and makes sense is left alone, by every command" {
	doubtful
	before=$(sha disk.qcow2)
	qcowtool recover disk.qcow2
	[[ $status == 1 && $(sha disk.qcow2) == "$before" ]]
	says "the header is between the old and the new one and makes sense: torn by the storage, or changed by another program; decide with --finish or --drop"
	[[ $output == *"size "*0x100000*0x200000*"*"* ]] || complain "expected both headers"
	qcowtool recover --output=json disk.qcow2
	[[ $status == 1 && $(sha disk.qcow2) == "$before" ]]
	json '.state == "doubtful" and .settled == false and .before.size == 1048576'
	unchanged disk.qcow2 fails 1 write disk.qcow2 --hex=01
	says "see qcowtool recover"
	unchanged disk.qcow2 fails 1 snapshot-cow create disk.qcow2 one
	unchanged disk.qcow2 succeeds read --length=4 -o out disk.qcow2
}

@test "a person decides whether the header is torn" {
	doubtful
	cp disk.qcow2 doubtful.qcow2
	unchanged disk.qcow2 succeeds recover -n --finish disk.qcow2
	succeeds recover --finish --output=json disk.qcow2
	json '.state == "torn-to-new" and .settled'
	is_clean disk.qcow2
	qemu-img resize -q new.qcow2 2M
	same_guest disk.qcow2 new.qcow2
	cp doubtful.qcow2 disk.qcow2
	succeeds recover --drop --output=json disk.qcow2
	json '.state == "stale" and .settled'
	is_clean disk.qcow2
	qemu-img resize -q old.qcow2 2M
	same_guest disk.qcow2 old.qcow2
	unchanged disk.qcow2 fails 64 recover --finish --drop disk.qcow2
	says "--finish and --drop exclude each other"
}

@test "where there is no doubt, a decision changes nothing" {
	for decision in --finish --drop; do
		cp old.qcow2 disk.qcow2
		interrupt before
		succeeds recover $decision disk.qcow2
		cmp disk.qcow2 old.qcow2
		interrupt after
		succeeds recover $decision disk.qcow2
		cmp disk.qcow2 new.qcow2
	done
}

@test "a journal that is no longer about this image is dropped, and nothing else" {
	cp old.qcow2 other.qcow2
	"$INTERRUPTED" other.qcow2 after
	cp new.qcow2 disk.qcow2
	"$QCOWTOOL" write -q disk.qcow2 --at=512k --fill=0x77:64k
	cp disk.qcow2 later.qcow2
	interrupted_tail disk.qcow2
	succeeds recover --output=json disk.qcow2
	json '.state == "stale" and .settled'
	is_clean disk.qcow2
	same_guest disk.qcow2 later.qcow2
}

# The journal of other.qcow2, put at the same place behind FILE.
interrupted_tail() { # FILE
	local at
	at=$("$QCOWTOOL" recover -n other.qcow2 | sed -n 's/^Journal at \(0x[0-9a-f]*\),.*/\1/p')
	[[ -n $at && $((at)) -ge $(stat -c %s "$1") ]]
	truncate -s $((at)) "$1"
	tail -c +$((at + 1)) other.qcow2 >>"$1"
}

@test "a journal that is cut off or has one bit wrong is not believed" {
	interrupt before
	cp disk.qcow2 whole.qcow2
	bytes=$(stat -c %s disk.qcow2)
	at=$("$QCOWTOOL" recover -n disk.qcow2 | sed -n 's/^Journal at \(0x[0-9a-f]*\),.*/\1/p')
	"$QCOWTOOL" recover -n --output=json disk.qcow2 >whole
	for cut in 1 511 512 513 1024; do
		cp whole.qcow2 disk.qcow2
		truncate -s $((bytes - cut)) disk.qcow2
		succeeds recover -n --output=json disk.qcow2
		json '.state == "clean"'
		is_clean disk.qcow2
		same_guest disk.qcow2 old.qcow2
	done
	for ((i = at; i < bytes; i += 97)); do
		cp whole.qcow2 disk.qcow2
		byte=$(od -An -tu1 -j $i -N1 disk.qcow2)
		poke $i "$(printf %02x $((byte ^ 16)))"
		"$QCOWTOOL" recover -n --output=json disk.qcow2 >out
		# What pads a sector says nothing, so it cannot say anything wrong.
		[[ $(jq -r .state out) == clean ]] || cmp out whole || complain "byte $i"
	done
	succeeds write disk.qcow2 --at=3 --hex=01
	is_clean disk.qcow2
}

@test "write settles what it finds and says so; reading does neither" {
	interrupt after
	unchanged disk.qcow2 succeeds read --length=4 -o out disk.qcow2
	[[ $(od -An -tx1 out) == " 5a 5a 5a 5a" ]]
	qcowtool write disk.qcow2 --at=1 --hex=01
	[[ $status == 0 && -n $output ]]
	[[ $stderr == "qcowtool write: disk.qcow2: settled an earlier transaction: "*"the new one" ]]
	is_clean disk.qcow2
	[[ $("$QCOWTOOL" read --length=3 disk.qcow2 | od -An -tx1) == " 5a 01 5a" ]]
	succeeds recover disk.qcow2
	prints "disk.qcow2: no interrupted transaction"
}

@test "an image marked dirty is rebuilt by the next write, whatever journal it has" {
	for state in before after; do
		cp old.qcow2 disk.qcow2
		interrupt $state
		poke 79 01
		unchanged disk.qcow2 fails 1 recover -q disk.qcow2
		says "marked dirty"
		qcowtool write -n disk.qcow2 --at=1 --hex=01
		[[ $status == 0 ]] || complain "expected a dry run"
		qcowtool write disk.qcow2 --at=1 --hex=01
		[[ $status == 0 ]] || complain "expected a write"
		says "its refcounts are rebuilt"
		is_clean disk.qcow2
		succeeds recover disk.qcow2
		prints "disk.qcow2: no interrupted transaction"
	done
}

@test "another writer in between: what it wrote survives" {
	interrupt after
	qemu-io -c 'write -q -P 0x66 700k 64k' -c 'write -q -P 0x67 256k 4k' disk.qcow2
	cp disk.qcow2 later.qcow2
	succeeds recover disk.qcow2
	is_clean disk.qcow2
	same_guest disk.qcow2 later.qcow2
}

@test "an image in use is not recovered, and shown only if asked for" {
	interrupt before
	coproc HOLDER { exec qemu-io disk.qcow2 2>&1; }
	holder=$HOLDER_PID
	echo length >&"${HOLDER[1]}"
	read -r -t 20 _ <&"${HOLDER[0]}"
	unchanged disk.qcow2 fails 1 recover disk.qcow2
	says "lock; is another process using the image?"
	fails 1 recover -n disk.qcow2
	says "-U reads it all the same"
	unchanged disk.qcow2 succeeds recover -n -U disk.qcow2
	[[ $output == *"Journal at 0x"* ]]
	unchanged disk.qcow2 fails 64 recover -U disk.qcow2
	kill "$holder"
	wait "$holder" || :
}

@test "check -r settles it, even where that leaves nothing to repair" {
	interrupt torn-52
	qcowtool check -q disk.qcow2
	[[ $status == 2 ]] || complain "expected corruptions"
	succeeds check -r all disk.qcow2
	is_clean disk.qcow2
	cmp disk.qcow2 new.qcow2
	succeeds recover disk.qcow2
	prints "disk.qcow2: no interrupted transaction"
}
