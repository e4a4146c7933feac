#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Images that others made: their snapshots, VM states, bitmaps, keys and backing files are respected.
# shellcheck disable=SC2154  # status, output and stderr are set by bats

load ../../support/cli

make_disk() { # CREATE-OPTION...
	qemu-img create -q -f qcow2 "$@" disk.qcow2 1M
	qemu-io -f qcow2 -c "write -P 1 0 200k" disk.qcow2 >/dev/null
}

write_pattern() { # PATTERN OFFSET LENGTH
	qemu-io -f qcow2 -c "write -P $1 $2 $3" disk.qcow2 >/dev/null
}

snapshot_sha() { # NAME
	qemu-img convert -f qcow2 -O raw -l "snapshot.name=$1" disk.qcow2 seen.raw
	sha seen.raw
}

disk_bytes() {
	qemu-img info --output=json disk.qcow2 | jq '."virtual-size"'
}

vm_state_is() { # PATTERN
	qemu-io -r -f qcow2 -c "read -b -P $1 0 100k" disk.qcow2 >out
	! grep -q "Pattern verification failed" out || complain "another VM state" "$(<out)"
}

# What the bitmap "live" holds: merged into one that a new image starts with.
dirty() { # IMAGE
	qemu-img create -q -f qcow2 merged.qcow2 1M
	qemu-img bitmap --add --disable merged.qcow2 live
	qemu-img bitmap --merge live -b "$1" -F qcow2 merged.qcow2 live
	sha merged.qcow2
}

@test "snapshots of qemu and ours live together" {
	local shape sha1 sha2 sha3
	for shape in compat=0.10 cluster_size=512 extended_l2=on cluster_size=2M refcount_bits=64; do
		rm -f disk.qcow2
		make_disk -o $shape
		sha1=$(guest_sha disk.qcow2)
		qemu-img snapshot -c one disk.qcow2
		write_pattern 2 64k 300k
		sha2=$(guest_sha disk.qcow2)
		succeeds snapshot-cow create disk.qcow2 two
		write_pattern 3 100k 10k
		sha3=$(guest_sha disk.qcow2)
		qemu-img snapshot -c three disk.qcow2
		succeeds snapshot-cow apply disk.qcow2 one
		is_clean disk.qcow2
		write_pattern 4 0 500k
		qemu-img snapshot -a two disk.qcow2
		[[ $(guest_sha disk.qcow2) == "$sha2" && $(snapshot_sha one) == "$sha1" ]]
		succeeds snapshot-cow delete disk.qcow2 two
		is_clean disk.qcow2
		[[ $(guest_sha disk.qcow2) == "$sha2" && $(snapshot_sha three) == "$sha3" ]]
		qemu-img snapshot -d one disk.qcow2
		succeeds snapshot-cow delete disk.qcow2 three
		[[ $(guest_sha disk.qcow2) == "$sha2" ]]
		is_clean disk.qcow2
	done
}

@test "a snapshot keeps its VM state" {
	make_disk
	qemu-io -f qcow2 -c "write -b -P 7 0 100k" disk.qcow2 >/dev/null
	qemu-img snapshot -c state disk.qcow2
	qemu-io -f qcow2 -c "write -b -P 8 0 100k" disk.qcow2 >/dev/null
	succeeds snapshot-cow create disk.qcow2 another
	is_clean disk.qcow2
	vm_state_is 8
	succeeds snapshot-cow rename disk.qcow2 state kept
	succeeds snapshot-cow apply disk.qcow2 kept
	vm_state_is 7
	is_clean disk.qcow2
	succeeds snapshot-cow delete disk.qcow2 kept
	vm_state_is 7
	succeeds snapshot-cow apply disk.qcow2 another
	vm_state_is 8
	is_clean disk.qcow2
	succeeds check disk.qcow2
}

@test "apply brings the disk's size back, up and down" {
	local small big cluster
	for cluster in 512 4k 64k; do
		qemu-img create -q -f qcow2 -o cluster_size=$cluster disk.qcow2 1000k
		write_pattern 1 900k 100k
		small=$(guest_sha disk.qcow2)
		qemu-img snapshot -c small disk.qcow2
		qemu-img resize -q disk.qcow2 300M
		write_pattern 2 299M 1M
		big=$(guest_sha disk.qcow2)
		succeeds snapshot-cow create disk.qcow2 big
		succeeds snapshot-cow apply disk.qcow2 small
		[[ $(disk_bytes) == 1024000 && $(guest_sha disk.qcow2) == "$small" ]]
		is_clean disk.qcow2
		succeeds check disk.qcow2
		succeeds snapshot-cow apply disk.qcow2 big
		[[ $(disk_bytes) == 314572800 && $(guest_sha disk.qcow2) == "$big" ]]
		is_clean disk.qcow2
		# The active L1 table is shorter than the snapshot's now.
		succeeds snapshot-cow delete disk.qcow2 small
		qemu-img resize -q --shrink disk.qcow2 2M
		succeeds snapshot-cow apply disk.qcow2 big
		[[ $(disk_bytes) == 314572800 && $(guest_sha disk.qcow2) == "$big" ]]
		is_clean disk.qcow2
		succeeds snapshot-cow delete disk.qcow2 big
		is_clean disk.qcow2
	done
}

@test "a disk of no size has snapshots, too" {
	qemu-img create -q -f qcow2 disk.qcow2 0
	succeeds snapshot-cow create disk.qcow2 nothing
	is_clean disk.qcow2
	qemu-img snapshot -c nothing-else disk.qcow2
	qemu-img resize -q disk.qcow2 1M
	write_pattern 1 0 1M
	succeeds snapshot-cow apply disk.qcow2 nothing
	[[ $(disk_bytes) == 0 ]]
	is_clean disk.qcow2
	succeeds snapshot-cow delete disk.qcow2 nothing-else
	succeeds snapshot-cow delete disk.qcow2 nothing
	is_clean disk.qcow2
}

@test "disabled bitmaps are kept" {
	make_disk
	qemu-img bitmap --add disk.qcow2 kept
	write_pattern 1 0 64k
	qemu-img bitmap --disable disk.qcow2 kept
	local was
	was=$(qemu-img info --output=json disk.qcow2 | jq -c '."format-specific".data.bitmaps')
	for verb in "create disk.qcow2 one" "create disk.qcow2 two" \
		"rename disk.qcow2 one uno" "delete disk.qcow2 uno"; do
		# shellcheck disable=SC2086  # the verb's words
		succeeds snapshot-cow $verb
		is_clean disk.qcow2
	done
	[[ $(qemu-img info --output=json disk.qcow2 | jq -c '."format-specific".data.bitmaps') == "$was" ]]
	qemu-img bitmap --add --merge kept disk.qcow2 copy
	is_clean disk.qcow2
}

# What they recorded is about the disk that is now. create and delete change nothing of the disk.
@test "beside bitmaps the verbs do what they do in qemu" {
	local state verb bitmaps='[."format-specific".data.bitmaps]'
	make_disk
	succeeds snapshot-cow create disk.qcow2 one
	qemu-img bitmap --add disk.qcow2 live
	write_pattern 7 0 64k
	for state in enable disable; do
		qemu-img bitmap --$state disk.qcow2 live
		for verb in "-c create two" "-d delete one" "-a apply one"; do
			# shellcheck disable=SC2086  # option, verb and snapshot
			set -- $verb
			cp disk.qcow2 qemus.qcow2
			cp disk.qcow2 ours.qcow2
			if [[ $1 == -a ]]; then
				run ! qemu-img snapshot "$1" "$3" qemus.qcow2
			else
				qemu-img snapshot "$1" "$3" qemus.qcow2
			fi
			if [[ $1 == -a ]]; then
				unchanged ours.qcow2 fails 1 snapshot-cow "$2" ours.qcow2 "$3"
				says "bitmap"
			else
				succeeds snapshot-cow "$2" ours.qcow2 "$3"
			fi
			is_clean ours.qcow2
			diff <(qemu-img info --output=json qemus.qcow2 | jq "$bitmaps") \
				<(qemu-img info --output=json ours.qcow2 | jq "$bitmaps")
			# What it recorded is what it had recorded.
			[[ $(dirty ours.qcow2) == "$(dirty qemus.qcow2)" ]] || complain "other bits"
		done
	done
}

@test "a backing file is not needed" {
	qemu-img create -q -f qcow2 base.qcow2 1M
	qemu-io -f qcow2 -c "write -P 5 0 1M" base.qcow2 >/dev/null
	make_disk -b base.qcow2 -F qcow2
	local first
	first=$(guest_sha disk.qcow2)
	succeeds snapshot-cow create disk.qcow2 one
	write_pattern 2 150k 400k
	mv base.qcow2 away.qcow2
	succeeds snapshot-cow create disk.qcow2 two
	succeeds snapshot-cow apply disk.qcow2 one
	succeeds snapshot-cow rename disk.qcow2 one uno
	succeeds snapshot-cow delete disk.qcow2 two
	succeeds snapshot-cow list disk.qcow2
	mv away.qcow2 base.qcow2
	is_clean disk.qcow2
	[[ $(guest_sha disk.qcow2) == "$first" ]]
}

encrypted() { # QEMU-IMG-COMMAND ARGUMENT... ; FILE stands for the image
	qemu-img "$1" --object secret,id=s,data=secret "${@:2}" \
		--image-opts driver=qcow2,encrypt.key-secret=s,file.filename=disk.qcow2
}

encrypted_io() { # COMMAND...
	local commands=()
	for command in "$@"; do commands+=(-c "$command"); done
	qemu-io --object secret,id=s,data=secret "${commands[@]}" \
		--image-opts driver=qcow2,encrypt.key-secret=s,file.filename=disk.qcow2 >out
	! grep -q "Pattern verification failed" out || complain "other contents" "$(<out)"
}

@test "no key is needed, as no contents are looked at" {
	local format extra
	for format in luks aes; do
		extra=
		[[ $format == aes ]] || extra=,encrypt.iter-time=10
		rm -f disk.qcow2
		make_encrypted s -o encrypt.format=$format,encrypt.key-secret=s$extra disk.qcow2 4M
		encrypted_io "write -P 1 0 1M"
		succeeds snapshot-cow create disk.qcow2 one
		encrypted check >/dev/null
		encrypted_io "write -P 2 512k 1M"
		succeeds snapshot-cow create disk.qcow2 two
		succeeds snapshot-cow list disk.qcow2
		succeeds snapshot-cow delete disk.qcow2 two
		encrypted check >/dev/null
		encrypted_io "read -P 2 512k 1M"
		succeeds check disk.qcow2
		# Whether apply can be had is its own question; whatever it says, the image stays whole.
		qcowtool snapshot-cow apply disk.qcow2 one
		if [[ $status == 0 ]]; then
			encrypted_io "read -P 1 0 1M"
		else
			one_error_line snapshot-cow
			encrypted_io "read -P 2 512k 1M"
		fi
		encrypted check >/dev/null
	done
}
