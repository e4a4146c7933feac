#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What each verb does, how snapshots are found and listed, and which names there can be.
# shellcheck disable=SC2154  # status, output and stderr are set by bats

load ../../support/cli

make_disk() { # CREATE-OPTION...
	qemu-img create -q -f qcow2 "$@" disk.qcow2 1M
	qemu-io -f qcow2 -c "write -P 1 0 200k" -c "write -P 2 500k 70k" disk.qcow2 >/dev/null
}

snapshot() { # VERB ARGUMENT...
	succeeds snapshot-cow "$1" --no-sync "${@:2}"
}

overwrite() { # PATTERN
	qemu-io -f qcow2 -c "write -P $1 100k 300k" disk.qcow2 >/dev/null
}

# A digest of what a snapshot shows, according to qemu-img.
snapshot_sha() { # IMAGE NAME
	qemu-img convert -f qcow2 -O raw -l "snapshot.name=$2" "$1" seen.raw
	sha seen.raw
}

@test "create, apply and delete do what they say, and say nothing" {
	make_disk
	local first second
	first=$(guest_sha disk.qcow2)
	snapshot create disk.qcow2 first
	[[ -z $output ]]
	is_clean disk.qcow2
	overwrite 3
	second=$(guest_sha disk.qcow2)
	[[ $second != "$first" && $(snapshot_sha disk.qcow2 first) == "$first" ]]
	snapshot create disk.qcow2 second
	snapshot apply disk.qcow2 first
	[[ -z $output && $(guest_sha disk.qcow2) == "$first" ]]
	is_clean disk.qcow2
	snapshot delete disk.qcow2 first
	[[ -z $output && $(guest_sha disk.qcow2) == "$first" ]]
	is_clean disk.qcow2
	[[ $(snapshot_sha disk.qcow2 second) == "$second" ]]
	snapshot apply disk.qcow2 second
	snapshot delete disk.qcow2 second
	[[ $(guest_sha disk.qcow2) == "$second" ]]
	is_clean disk.qcow2
	succeeds snapshot-cow list disk.qcow2
	prints ""
}

@test "qcowtool's own check agrees after every verb" {
	make_disk -o cluster_size=4k
	for verb in "create one" "create two" "apply one" "rename one uno" "delete two" "delete uno"; do
		overwrite 9
		# shellcheck disable=SC2086  # the verb's words
		set -- $verb
		snapshot "$1" disk.qcow2 "${@:2}"
		succeeds check disk.qcow2
		is_clean disk.qcow2
	done
}

@test "delete gives the space back" {
	make_disk
	local round size=0
	for round in 1 2 3 4 5 6 7 8 9; do
		snapshot create disk.qcow2 one
		overwrite "$round"
		snapshot delete disk.qcow2 one
		((round != 6)) || size=$(stat -c %s disk.qcow2)
	done
	(($(stat -c %s disk.qcow2) <= size)) || complain "$size bytes have become more"
	snapshot create disk.qcow2 one
	overwrite 4
	succeeds snapshot-cow delete --output=json disk.qcow2 one
	json '."clusters-freed" == 6 and .operation == "delete" and .committed == true'
	is_clean disk.qcow2
}

@test "rename changes the name alone" {
	make_disk
	snapshot create disk.qcow2 before
	snapshot create disk.qcow2 other
	qemu-img info --output=json disk.qcow2 | jq '.snapshots | map(del(.name))' >was
	snapshot rename disk.qcow2 before after
	qemu-img info --output=json disk.qcow2 | jq '.snapshots | map(del(.name))' >is
	diff was is
	succeeds snapshot-cow list --output=json disk.qcow2
	json '[.[].name] == ["after", "other"]'
	snapshot rename disk.qcow2 after "$(printf 'x%.0s' {1..3000})"
	is_clean disk.qcow2
	snapshot rename disk.qcow2 1 y
	is_clean disk.qcow2
}

@test "the list is qemu-img's, character for character" {
	make_disk
	SOURCE_DATE_EPOCH=1000000000 snapshot create disk.qcow2 one
	qemu-img snapshot -c "two words" disk.qcow2
	snapshot create disk.qcow2 "three words here, longer than a column"
	snapshot create disk.qcow2 Öäü
	for zone in UTC America/New_York Asia/Kolkata; do
		export TZ=$zone
		succeeds snapshot-cow list disk.qcow2
		prints "$(qemu-img snapshot -l disk.qcow2)"
	done
}

@test "the list as JSON is the array of qemu-img info" {
	make_disk
	succeeds snapshot-cow list --output=json disk.qcow2
	prints "[]"
	SOURCE_DATE_EPOCH=1000000000 snapshot create disk.qcow2 one
	qemu-img snapshot -c "two words" disk.qcow2
	snapshot create disk.qcow2 $'not \xff UTF-8'
	succeeds snapshot-cow list --output=json disk.qcow2
	diff <(jq -S . <<<"$output") <(qemu-img info --output=json disk.qcow2 | jq -S .snapshots)
	json '.[0]."date-sec" == 1000000000 and .[0]."date-nsec" == 0 and length == 3'
	succeeds snapshot-cow list --quiet disk.qcow2
	prints ""
}

@test "ids go on from the highest one" {
	make_disk
	snapshot create disk.qcow2 a
	snapshot create disk.qcow2 b
	snapshot create disk.qcow2 c
	snapshot delete disk.qcow2 b
	snapshot create disk.qcow2 d
	succeeds snapshot-cow list --output=json disk.qcow2
	json '[.[].id] == ["1", "3", "4"]'
	snapshot delete disk.qcow2 4
	qemu-img snapshot -c e disk.qcow2
	snapshot create disk.qcow2 f
	succeeds snapshot-cow list --output=json disk.qcow2
	json '[.[] | .id + .name] == ["1a", "3c", "4e", "5f"]'
}

@test "an id is looked for before a name, and of equal names the first one counts" {
	make_disk
	snapshot create disk.qcow2 2
	overwrite 3
	snapshot create disk.qcow2 same
	overwrite 4
	snapshot create disk.qcow2 same
	snapshot rename disk.qcow2 2 found-by-id
	succeeds snapshot-cow list --output=json disk.qcow2
	json '[.[].name] == ["2", "found-by-id", "same"]'
	snapshot create disk.qcow2 same
	snapshot delete disk.qcow2 same
	succeeds snapshot-cow list --output=json disk.qcow2
	json '[.[].id] == ["1", "2", "4"]'
	snapshot delete disk.qcow2 2
	succeeds snapshot-cow list --output=json disk.qcow2
	json '[.[].id] == ["1", "4"]'
	snapshot delete disk.qcow2 2
	succeeds snapshot-cow list --output=json disk.qcow2
	json '[.[].id] == ["4"]'
}

@test "names may hold anything but nothing" {
	make_disk
	local long name
	long=$(head -c 65535 /dev/zero | tr '\0' n)
	for name in " " "-" $'\xff\xfe' $'a\nb' "'\"\\" "%s%n" "$long"; do
		snapshot create -- disk.qcow2 "$name"
		is_clean disk.qcow2
		snapshot apply -- disk.qcow2 "$name"
		snapshot rename -- disk.qcow2 "$name" "$name"
		snapshot delete -- disk.qcow2 "$name"
		is_clean disk.qcow2
	done
	unchanged disk.qcow2 fails 1 snapshot-cow create disk.qcow2 ""
	unchanged disk.qcow2 fails 1 snapshot-cow create disk.qcow2 "${long}n"
	snapshot create disk.qcow2 one
	unchanged disk.qcow2 fails 1 snapshot-cow rename disk.qcow2 one ""
	unchanged disk.qcow2 fails 1 snapshot-cow rename disk.qcow2 one "${long}n"
}

@test "SOURCE_DATE_EPOCH makes the same bytes of the same image" {
	make_disk
	cp disk.qcow2 again.qcow2
	export SOURCE_DATE_EPOCH=1234567890
	snapshot create disk.qcow2 one
	sleep 0.01
	snapshot create again.qcow2 one
	cmp disk.qcow2 again.qcow2
	for bad in yesterday 12x -5 4294967296; do
		SOURCE_DATE_EPOCH=$bad unchanged disk.qcow2 fails 1 snapshot-cow create disk.qcow2 two
		says SOURCE_DATE_EPOCH
	done
}

@test "without it the date is now" {
	make_disk
	local before after
	before=$(date +%s)
	snapshot create disk.qcow2 one
	after=$(date +%s)
	succeeds snapshot-cow list --output=json disk.qcow2
	json ".[0].\"date-sec\" >= $before and .[0].\"date-sec\" <= $after"
}

@test "a dry run leaves every byte and tells what would be" {
	make_disk
	snapshot create disk.qcow2 one
	overwrite 3
	for verb in "create disk.qcow2 two" "apply disk.qcow2 one" "delete disk.qcow2 one" \
		"rename disk.qcow2 one two"; do
		# shellcheck disable=SC2086  # the verb's words
		unchanged disk.qcow2 succeeds snapshot-cow $verb -n --output=json
		json '.committed == false'
		# shellcheck disable=SC2086
		unchanged disk.qcow2 succeeds snapshot-cow -n $verb
		prints ""
	done
	cp disk.qcow2 really.qcow2
	succeeds snapshot-cow delete --output=json -n disk.qcow2 one
	local foretold=$output
	succeeds snapshot-cow delete --output=json really.qcow2 one
	diff <(jq 'del(.filename, .committed)' <<<"$foretold") \
		<(jq 'del(.filename, .committed)' <<<"$output")
}

@test "read and map show a snapshot" {
	make_disk
	local first
	first=$(guest_sha disk.qcow2)
	qemu-img map --output=json disk.qcow2 | jq -c 'map({start, length, data, zero, offset})' >was
	snapshot create disk.qcow2 "the first"
	overwrite 3
	"$QCOWTOOL" read --snapshot="the first" -o by-name.raw disk.qcow2
	"$QCOWTOOL" read --snapshot=1 -o by-id.raw disk.qcow2
	[[ $(sha by-name.raw) == "$first" && $(sha by-id.raw) == "$first" ]]
	succeeds map --output=json --snapshot=1 disk.qcow2
	jq -c 'map({start, length, data, zero, offset})' <<<"$output" >is
	diff was is
	snapshot delete disk.qcow2 1
	fails 1 read --snapshot=1 disk.qcow2
}
