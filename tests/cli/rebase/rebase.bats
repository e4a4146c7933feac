#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# rebase: another backing file, the same guest contents; or an error, and the same bytes.
# shellcheck shell=bash disable=SC2154

load ../../support/cli
load bases

make_disk() { # BASE OPTIONS SIZE
	rm -f disk.qcow2
	qemu-img create -q -f qcow2 -o "$2" -b "$1" -F "$(format_of "$1")" disk.qcow2 "$3"
	qemu-io -f qcow2 -c "write -q -P 6 200k 70k" -c "write -q -z 600k 128k" disk.qcow2
	qemu-img convert -f qcow2 -O raw disk.qcow2 before.raw
}

keeps_contents() { # ARGUMENT...
	succeeds rebase -q "$@" disk.qcow2
	qemu-img compare -f qcow2 -F raw disk.qcow2 before.raw >/dev/null ||
		complain "the guest contents changed: rebase $*"
	is_clean disk.qcow2
	succeeds check disk.qcow2
}

names() { # NAME FORMAT
	qemu-img info -U --output=json disk.qcow2 | jq -e --arg n "$1" --arg f "$2" \
		'."backing-filename" == $n and ."backing-filename-format" == $f' >/dev/null ||
		complain "expected backing file $1, $2"
}

names_nothing() {
	qemu-img info --output=json disk.qcow2 | jq -e 'has("backing-filename") | not' >/dev/null ||
		complain "expected no backing file"
}

# An image that cannot be what is asked for stays as it is.
refuses() { # STATUS WORDS ARGUMENT...
	local expected=$1 words=$2
	shift 2
	unchanged disk.qcow2 fails "$expected" rebase "$@" disk.qcow2
	says "$words"
}

@test "from and to any base, in any kind of image, the guest sees the same" {
	make_bases
	for options in compat=0.10 cluster_size=512 cluster_size=64k,refcount_bits=1 cluster_size=2M \
		extended_l2=on,cluster_size=16k; do
		for size in 1500k 4M; do
			for old in old.raw new.qcow2; do
				for new in new.raw new.qcow2 old.qcow2; do
					make_disk $old $options $size
					keeps_contents -b $new -F "$(format_of $new)"
					names $new "$(format_of $new)"
				done
				keeps_contents -b ""
				names_nothing
				keeps_contents -b old.raw -F raw
			done
		done
	done
}

@test "chains of any depth, and a base from the middle of the chain" {
	make_bases
	qemu-img create -q -f qcow2 -b old.raw -F raw one.qcow2 2M
	qemu-io -f qcow2 -c "write -q -P 11 64k 100k" one.qcow2
	qemu-img create -q -f qcow2 -o cluster_size=4k -b one.qcow2 -F qcow2 two.qcow2 3M
	qemu-io -f qcow2 -c "write -q -P 12 100k 100k" -c "write -q -z 1M 100k" two.qcow2
	make_disk two.qcow2 cluster_size=64k 4M
	keeps_contents -b one.qcow2 -F qcow2
	keeps_contents -b old.raw -F raw
	keeps_contents -b two.qcow2 -F qcow2
	keeps_contents -b ""
	keeps_contents -b new.qcow2 -F qcow2
}

@test "nothing is copied where both chains have it from the same file" {
	make_bases
	qemu-img create -q -f qcow2 -b old.raw -F raw one.qcow2
	make_disk old.raw cluster_size=64k 2M
	succeeds rebase --output=json -b one.qcow2 -F qcow2 disk.qcow2
	json '."bytes-copied" == 0 and ."bytes-zeroed" == 0 and .committed'
	json '."backing-filename" == "one.qcow2" and ."backing-filename-format" == "qcow2"'
	succeeds rebase --output=json -b old.qcow2 -F qcow2 disk.qcow2
	json '."bytes-copied" == 0 and ."clusters-allocated" == 0'
}

@test "only what differs is copied, zeroes as zero clusters" {
	make_bases
	make_disk old.raw cluster_size=64k 2M
	succeeds rebase --output=json -b new.raw -F raw disk.qcow2
	json '."bytes-copied" > 0 and ."bytes-copied" < 800000 and ."bytes-zeroed" > 0'
	keeps_contents -b new.raw -F raw
	make_disk old.raw cluster_size=64k 4M
	keeps_contents -b ""
	succeeds map --output=json disk.qcow2
	json '[.[] | select(.start >= 1638400 and .present)] == []'
}

@test "-c stores compressed what is copied" {
	make_bases
	for options in compat=0.10 cluster_size=64k compression_type=zstd extended_l2=on; do
		make_disk old.raw $options 3M
		keeps_contents -c -b new.raw -F raw
		keeps_contents -c -b ""
		qemu-img check --output=json disk.qcow2 | jq -e '."compressed-clusters" > 5' >/dev/null ||
			complain "nothing is compressed with $options"
	done
}

@test "-u changes the name and nothing else" {
	make_bases
	make_disk old.raw cluster_size=64k 2M
	keeps_contents -u -b ./old.raw -F raw
	succeeds rebase -u -q -b missing.qcow2 -F qcow2 disk.qcow2
	names missing.qcow2 qcow2
	succeeds check disk.qcow2
	keeps_contents -u -b old.raw -F raw
	qemu-img rebase -u -b new.raw -F raw disk.qcow2
	qemu-img convert -f qcow2 -O raw disk.qcow2 other.raw
	succeeds rebase -u -q -b old.raw -F raw disk.qcow2
	succeeds rebase -u -q -b new.raw -F raw disk.qcow2
	same_guest disk.qcow2 other.raw
}

@test "names of up to 1023 bytes, in the header of any cluster size that holds them" {
	local folder name length
	make_bases
	for options in compat=0.10 cluster_size=4k cluster_size=64k cluster_size=2M; do
		make_disk old.raw $options 2M
		for length in 300 393 1023 600 1022; do
			name=$(printf './%.0s' $(seq $(((length - 7) / 2))))
			((length % 2)) || name+=/
			name+=old.raw
			[[ ${#name} == "$length" ]] || complain "${#name} is not $length"
			keeps_contents -b "$name" -F raw
			names "$name" raw
		done
		refuses 64 "1024 bytes" -b "$name/." -F raw
		refuses 64 "1024 bytes" -u -b "$(printf 'x%.0s' $(seq 1024))" -F raw
	done
	make_disk old.raw cluster_size=512 2M
	name=$(printf './%.0s' $(seq 184))/old.raw
	keeps_contents -b "$name" -F raw
	names "$name" raw
	refuses 1 "no room" -b "././$name" -F raw
	folder=$(printf 'd%.0s' $(seq 200))
	mkdir "$folder"
	mv old.raw "$folder"
	refuses 1 "No such file" -b "$folder/old.raw" -F raw
}

@test "relative names are seen from the image, not from here" {
	make_bases
	mkdir sub
	cp old.raw sub/
	make_disk old.raw cluster_size=64k 2M
	mv disk.qcow2 sub/
	succeeds rebase -q -b ../new.raw -F raw sub/disk.qcow2
	qemu-img compare -f qcow2 -F raw sub/disk.qcow2 before.raw
	cd sub
	unchanged disk.qcow2 fails 1 rebase -b sub/old.raw -F raw disk.qcow2
}

@test "what makes no sense is refused before any work" {
	make_bases
	make_disk old.raw cluster_size=64k 2M
	qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 loop.qcow2
	refuses 64 "backing format must be specified" -b new.raw
	refuses 64 "backing format must be specified" -u -b new.raw
	refuses 64 "neither qcow2 nor raw" -b new.raw -F vmdk
	refuses 64 "-b" -F raw
	refuses 1 "No such file" -b missing -F raw
	refuses 1 "loop" -b disk.qcow2 -F qcow2
	refuses 1 "loop" -n -b disk.qcow2 -F qcow2
	refuses 1 "its own base" -u -b disk.qcow2 -F qcow2
	refuses 1 "loop" -b loop.qcow2 -F qcow2
	refuses 1 "loop" -u -b loop.qcow2 -F qcow2
	qemu-img create -q -f qcow2 -b loop.qcow2 -F qcow2 longer.qcow2
	refuses 1 "loop" -u -b longer.qcow2 -F qcow2
	refuses 1 "not a qcow2 image" -b new.raw -F qcow2
	refuses 1 "plain file name" -b 'json:{"driver":"raw"}' -F raw
	refuses 1 "plain file name" -u -b nbd://host/disk -F raw
	refuses 1 "may not be opened" --chain=none -b new.raw -F raw
	refuses 1 "below" --chain=dir -b /etc/hostname -F raw
	rm old.raw
	refuses 1 "old.raw" -b new.raw -F raw
}

@test "a base or an image that is in use is refused" {
	make_bases
	make_disk old.raw cluster_size=64k 2M
	coproc HOLDER { qemu-io -f raw new.raw; }
	echo length >&"${HOLDER[1]}"
	read -r _ <&"${HOLDER[0]}" # it has opened the file, then
	refuses 1 "lock" -b new.raw -F raw
	echo quit >&"${HOLDER[1]}"
	wait "$HOLDER_PID" || true
	keeps_contents -b new.raw -F raw
}

@test "an encrypted image is refused before any work" {
	make_bases
	make_encrypted key disk.qcow2 -o encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10 \
		-b old.raw -F raw 2M
	refuses 1 "encrypted" -b new.raw -F raw
	refuses 1 "encrypted" -b ""
	succeeds rebase -q -u -b new.raw -F raw disk.qcow2
	names new.raw raw
}

@test "an enabled dirty bitmap has nothing to record, and stays" {
	make_bases
	make_disk old.raw cluster_size=64k 2M
	qemu-img bitmap --add disk.qcow2 bits
	keeps_contents -b new.raw -F raw
	keeps_contents -b ""
	qemu-img info --output=json disk.qcow2 |
		jq -e '."format-specific".data.bitmaps[0] | .name == "bits" and .flags == ["auto"]' >/dev/null ||
		complain "the bitmap is not what it was"
}

# Stopped by a signal it says so, and the image is what it was.
stops_at() { # SIGNAL SECONDS
	local before status=0
	before=$(sha disk.qcow2)
	"$QCOWTOOL" rebase -q -b "" disk.qcow2 2>words &
	sleep "$2"
	kill -"$1" $! 2>/dev/null || true
	wait $! || status=$?
	# Too late is fine, too: then all of it is there. Too early, and there is nobody to say a word.
	[[ $status != 0 ]] || return 2
	[[ $status -lt 128 || -s words || $(sha disk.qcow2) != "$before" ]] || return 3
	[[ $(<words) != "qcowtool rebase: interrupted: nothing has been changed" ||
		$(sha disk.qcow2) != "$before" ]] || return 3
	[[ $(<words) == "qcowtool rebase: disk.qcow2: "*interrupted* && $(sha disk.qcow2) == "$before" ]] ||
		complain "after SIG$1: status $status, '$(<words)'"
}

@test "a signal stops it, and the image is what it was" {
	local signal delay stopped=0 result
	truncate -s 1G old.raw
	qemu-io -f raw -c "write -q -P 1 0 384M" -c "write -q -P 2 640M 384M" old.raw
	qemu-img create -q -f qcow2 -b old.raw -F raw disk.qcow2
	for delay in 0.05 0.1 0.2 0.3; do
		for signal in INT TERM; do
			result=0
			stops_at $signal $delay || result=$?
			((result != 2)) || qemu-img create -q -f qcow2 -b old.raw -F raw disk.qcow2
			((result != 1)) || return 1
			((result != 0)) || stopped=$((stopped + 1))
		done
	done
	((stopped > 0)) || complain "it was never stopped"
	is_clean disk.qcow2
}

@test "-n does all of it but the commit" {
	make_bases
	make_disk old.raw cluster_size=64k 2M
	unchanged disk.qcow2 succeeds rebase -n -b new.raw -F raw disk.qcow2
	unchanged disk.qcow2 succeeds rebase -n --output=json -b "" disk.qcow2
	json '.committed == false and ."bytes-copied" > 1000000 and (has("backing-filename") | not)'
}

@test "a result in words" {
	make_bases
	make_disk old.raw cluster_size=64k 2M
	succeeds rebase -b ./old.raw -F raw disk.qcow2
	prints "disk.qcow2: backing file is './old.raw' (raw); 0 B copied in, 0 B as zeroes"
	succeeds rebase -u -b new.raw -F raw disk.qcow2
	prints "disk.qcow2: backing file is 'new.raw' (raw)"
	succeeds rebase -n -u -b "" disk.qcow2
	prints "disk.qcow2: would stand alone"
	succeeds rebase -u -b "" disk.qcow2
	prints "disk.qcow2: stands alone"
	succeeds rebase -q -b "" disk.qcow2
	prints ""
}

@test "the image does not depend on the number of threads, and compressing makes it small" {
	{ seq 2000000 | head -c 12M && head -c 4M /dev/urandom && seq 9000000 9400000; } >base.raw
	qemu-img convert -c -f raw -O qcow2 base.raw base.qcow2
	first=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
	for option in "" -c; do
		for image in one many; do
			rm -f $image.qcow2
			qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 $image.qcow2
		done
		# shellcheck disable=SC2086 # no option is no word
		taskset -c "$first" "$QCOWTOOL" rebase -q $option -b "" one.qcow2
		# shellcheck disable=SC2086
		"$QCOWTOOL" rebase -q $option -b "" many.qcow2
		cmp one.qcow2 many.qcow2
		qemu-img compare -q -F raw one.qcow2 base.raw
		is_clean one.qcow2
	done
	(($(stat -c %s one.qcow2) < 10 << 20))
}
