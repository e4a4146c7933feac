# SPDX-License-Identifier: MIT
# A write that was broken off between its commit and the data file. The limit for the size of files is
# what breaks it off: the image is small, and the place in the data file that changes is far behind.

load ../../support/cli

make_external() { # OPTIONS
	qemu-img create -q -f qcow2 -o "data_file=data.raw${1:+,$1}" disk.qcow2 20M
	qemu-io -f qcow2 -c "write -P 1 9M 200k" disk.qcow2 >/dev/null
	qemu-img convert -f qcow2 -O raw disk.qcow2 old
	cp old new
	printf 'after' | dd of=new bs=64k oflag=seek_bytes seek=$((9 << 20)) conv=notrunc status=none
}

# A new patch, and one that changes what is there.
edit=(--at 9M --text after)

break_off() { # OPTIONS
	make_external "$@"
	run --separate-stderr bash -c 'trap "" XFSZ; ulimit -f 4096; exec "$@"' - \
		"$QCOWTOOL" write disk.qcow2 "${edit[@]}"
	[[ $status == 4 && -z $output ]] || complain "the write was not broken off"
}

is_new() {
	succeeds read disk.qcow2 -o seen
	cmp seen new
	is_clean disk.qcow2
	qemu-img compare -q -f raw -F qcow2 new disk.qcow2
	[[ $(qemu-img info --output=json disk.qcow2 | jq '."format-specific".data.corrupt') == false ]]
}

@test "nobody writes to the image before it is recovered, and we show no mixture" {
	break_off
	run qemu-io -f qcow2 -c "write 0 64k" disk.qcow2
	[[ $output == *corrupt* ]]
	fails 1 read disk.qcow2
	says "see qcowtool recover"
	succeeds recover -n --output=json disk.qcow2
	json '.state == "redo" and any(.records[]; .kind == "data" and .index == 144)'
	qemu-img convert -f qcow2 -O raw disk.qcow2 seen
	cmp seen old # as nothing had reached the data file
}

@test "recover finishes it" {
	for options in "" data_file_raw=on extended_l2=on,data_file_raw=on; do
		rm -f ./*
		break_off "$options"
		succeeds recover disk.qcow2
		[[ $output == *settled ]]
		is_new
		unchanged disk.qcow2 unchanged data.raw succeeds recover disk.qcow2
	done
}

@test "the next edit finishes it first" {
	break_off
	qcowtool write disk.qcow2 --at 1M --text x
	[[ $status == 0 && $stderr == *"settled an earlier transaction"* ]]
	printf x | dd of=new bs=64k oflag=seek_bytes seek=$((1 << 20)) conv=notrunc status=none
	is_new
}

@test "a dry run sees it finished and changes nothing" {
	break_off
	qcowtool write -n disk.qcow2 --at 9M --expect 6166746572 --text x
	[[ $status == 0 ]]
	qcowtool write -n disk.qcow2 --at 9M --expect 0101 --text x
	[[ $status != 0 ]]
	succeeds recover disk.qcow2
	is_new
}

@test "what opens no data file waits for recovery and changes nothing" {
	break_off
	qcowtool check disk.qcow2
	[[ $status == 0 && $stderr == *"a transaction was interrupted; \`qcowtool recover\` finishes"* ]]
	for words in "check -r leaks" "check -r all" decompress; do
		# shellcheck disable=SC2086  # words
		unchanged disk.qcow2 unchanged data.raw fails 1 $words disk.qcow2
		says "has to be finished in the data file first; run qcowtool recover"
	done
	succeeds recover disk.qcow2
	is_new
	qcowtool check -r all disk.qcow2
	[[ $status == 0 ]]
	is_new
}

@test "the policy for references holds for recovery" {
	break_off
	mkdir images
	mv disk.qcow2 images
	unchanged data.raw unchanged images/disk.qcow2 fails 1 recover -q --chain=none images/disk.qcow2
	says "data file 'data.raw'"
	unchanged data.raw unchanged images/disk.qcow2 fails 1 recover -q --chain=dir images/disk.qcow2
	unchanged data.raw unchanged images/disk.qcow2 \
		fails 1 write --chain=dir images/disk.qcow2 --text x
	succeeds recover images/disk.qcow2
	mv images/disk.qcow2 .
	is_new
}

@test "without its data file nothing is recovered and nothing changes" {
	break_off
	mv data.raw away
	unchanged disk.qcow2 fails 1 recover -q disk.qcow2
	says "data file 'data.raw'"
	unchanged disk.qcow2 fails 1 write disk.qcow2 --text x
	mv away data.raw
	succeeds recover disk.qcow2
	is_new
}

@test "an error is told apart from a failure, and recovery finishes" {
	break_off
	one_error_line write
	says "qcowtool recover finishes it"
	succeeds recover disk.qcow2
	is_new
}

@test "a write to a place that was empty and cannot be done leaves both files as they were" {
	make_external
	run --separate-stderr bash -c 'trap "" XFSZ; ulimit -f 4096; exec "$@"' - \
		"$QCOWTOOL" write disk.qcow2 --at 10 --text x --at 15M --text x
	[[ $status == 1 ]]
	one_error_line write
	[[ $(qemu-img info --output=json disk.qcow2 | jq '."format-specific".data.corrupt') == false ]]
	qemu-img compare -q -f raw -F qcow2 old disk.qcow2
	is_clean disk.qcow2
}

@test "killed anywhere, it is the old disk or the new one" {
	local old=0 new=0
	make_external
	succeeds write disk.qcow2 --fill 1:12M
	qemu-img convert -f qcow2 -O raw disk.qcow2 old
	cp disk.qcow2 disk.before
	cp data.raw data.before
	succeeds write disk.qcow2 --at 1M --fill 2:8M --at 14M --fill 3:3M --at 2M --discard 1M
	qemu-img convert -f qcow2 -O raw disk.qcow2 new
	for round in {1..24}; do
		cp disk.before disk.qcow2
		cp data.before data.raw
		"$QCOWTOOL" write -q disk.qcow2 --at 1M --fill 2:8M --at 14M --fill 3:3M \
			--at 2M --discard 1M &
		sleep "0.0$((round * 4 % 100))"
		kill -KILL $! 2>/dev/null || true
		wait $! || true
		succeeds recover disk.qcow2
		is_clean disk.qcow2
		qemu-img convert -f qcow2 -O raw disk.qcow2 seen
		if cmp -s seen old; then old=$((old + 1)); else cmp seen new && new=$((new + 1)); fi
	done
	echo "# $old old, $new new"
	((old + new == 24))
}
