# map says what qemu-img map says, and which clusters are compressed.

load ../../support/cli
load ../../support/matrix

same_map() { # IMAGE OPTION...
	local image=$1
	shift
	succeeds map --output=json "$@" "$image"
	diff <(jq -c '.[] | del(.compressed)' <<<"$output") \
		<(qemu-img map --output=json "$@" "$image" | jq -c '.[]') ||
		complain "map $* $image differs"
	run qemu-img map "$@" "$image"
	[[ $status == 0 ]] || return 0
	expected=$output
	succeeds map "$@" "$image"
	prints "$expected"
}

@test "extents equal qemu-img's on images of all kinds" {
	make_plain_images
	for image in *.qcow2; do
		same_map "$image"
	done
}

@test "extents equal qemu-img's through chains" {
	make_chains
	for image in on-raw.qcow2 cut.qcow2 el2-chain.qcow2 sub/below.qcow2 absolute.qcow2; do
		same_map "$image"
	done
}

@test "a part of the disk equals qemu-img's" {
	make_plain_images
	for range in "-s 1M -l 2M" "-s 3M" "-l 0" "-s 1G" "-s 1000 -l 70000" "-s 8200k -l 100k"; do
		# shellcheck disable=SC2086
		same_map c4k.qcow2 $range
	done
}

@test "compressed clusters are marked" {
	qemu-img create -q -f qcow2 a.qcow2 1M
	qemu-io -c "write -c -P 1 64k 128k" a.qcow2 >/dev/null
	succeeds map --output=json a.qcow2
	json 'map(.compressed) == [false, true, false]'
	qcowtool map a.qcow2
	[[ $status == 1 ]]
	one_error_line map
	says "compressed, encrypted or external parts"
	says "--output=json shows them"
}

@test "a snapshot is mapped as it was" {
	make_plain_images
	succeeds map --output=json --snapshot=one snap.qcow2
	json 'map([.start, .length, .data]) == [[0, 1048576, true], [1048576, 66060288, false]]'
	succeeds map --output=json --snapshot=2 snap.qcow2
	json '.[0].length == 524288'
	fails 1 map --snapshot=three snap.qcow2
	says "no snapshot 'three'"
}

@test "a large preallocated image is mapped at once" {
	qemu-img create -q -f qcow2 -o preallocation=metadata large.qcow2 100G
	truncate -s 100G large.qcow2
	SECONDS=0
	succeeds map --output=json large.qcow2
	((SECONDS < 5))
}

@test "hostile references are refused with one line" {
	mkfifo fifo
	mkdir dir
	qemu-img create -q -f qcow2 base.qcow2 1M
	for name in fifo dir none nbd://host/x 'json:{"driver":"null-co"}' ../../../none; do
		qemu-img create -q -f qcow2 -u -b "$name" -F raw top.qcow2 1M
		fails 1 map top.qcow2
		says "top.qcow2: backing file "
	done
	qemu-img create -q -f qcow2 -u -b base.qcow2 -F vmdk top.qcow2 1M
	fails 1 map top.qcow2
	says "'vmdk'"
}

@test "--chain bounds what is opened" {
	mkdir in
	qemu-img create -q -f qcow2 in/base.qcow2 1M
	qemu-img create -q -f qcow2 out.qcow2 1M
	(cd in && qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 good.qcow2)
	(cd in && qemu-img create -q -f qcow2 -b ../out.qcow2 -F qcow2 bad.qcow2)
	succeeds map --chain=dir in/good.qcow2
	fails 1 map --chain=dir in/bad.qcow2
	fails 1 map --chain=none in/good.qcow2
	succeeds map --chain=none in/base.qcow2
}

@test "an encrypted image: its tables need no key" {
	make_encrypted key -o encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10 luks.qcow2 8M
	opened="driver=qcow2,encrypt.key-secret=key,file.filename=luks.qcow2"
	qemu-io --object secret,id=key,data=secret --image-opts "$opened" -c "write 1M 3M" \
		-c "write -z 3M 1M" >/dev/null
	diff <("$QCOWTOOL" map --output=json luks.qcow2 | jq -c '.[] | del(.compressed)') \
		<(qemu-img map --output=json --object secret,id=key,data=secret --image-opts "$opened" |
			jq -c '.[]')
}
