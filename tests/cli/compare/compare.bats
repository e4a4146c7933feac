#!/usr/bin/env bats
# compare: the answers of qemu-img compare, in its words, with its exit status.

load ../../support/cli

# Both say the same. What qemu-img says on stderr is not held against it.
agree() { # ARGUMENT...
	local expected expected_status=0
	expected=$(qemu-img compare "$@" 2>/dev/null) || expected_status=$?
	qcowtool compare "$@"
	[[ $status == "$expected_status" && -z $stderr ]] || complain "expected status $expected_status: compare $*"
	prints "$expected"
}

make_disk() { # a.raw
	truncate -s 9M a.raw
	head -c 2949120 /dev/urandom | dd of=a.raw bs=64k seek=11 conv=notrunc status=none
}

number_at() { # FILE OFFSET
	dd if="$1" bs=1 skip="$2" count=8 status=none | basenc --base16
}

@test "the same disk is identical however it is stored" {
	make_disk
	qemu-img convert -f raw -O qcow2 a.raw a.qcow2
	qemu-img convert -f raw -O qcow2 -c -o cluster_size=4k a.raw b.qcow2
	qemu-img convert -f raw -O qcow2 -S 0 -o cluster_size=2M a.raw c.qcow2
	for other in b.qcow2 c.qcow2 a.raw; do
		agree a.qcow2 "$other"
		prints "Images are identical."
		agree "$other" a.qcow2
	done
	agree -q a.qcow2 b.qcow2
	prints ""
}

@test "the first difference is told as qemu-img tells it" {
	make_disk
	qemu-img convert -f raw -O qcow2 a.raw a.qcow2
	for offset in 0 1 511 512 100000 720896 721000 2000001 3670015 3670016 9437183; do
		qemu-img convert -f raw -O qcow2 a.raw b.qcow2
		qemu-io -f qcow2 -c "write -P 0xaa $offset 1" b.qcow2 >/dev/null
		qemu-io -f qcow2 -c "write -P 0xbb 9437000 1" b.qcow2 >/dev/null
		agree a.qcow2 b.qcow2
		agree b.qcow2 a.qcow2
		agree a.raw b.qcow2
		[[ $status == 1 ]]
	done
}

@test "a larger disk is the same if it is larger by zeroes" {
	make_disk
	qemu-img convert -f raw -O qcow2 a.raw a.qcow2
	cp a.qcow2 b.qcow2
	qemu-img resize -q b.qcow2 20M
	agree a.qcow2 b.qcow2
	prints $'Warning: Image size mismatch!\nImages are identical.'
	agree b.qcow2 a.qcow2
	qemu-io -f qcow2 -c "write -P 0 12M 64k" b.qcow2 >/dev/null
	agree a.qcow2 b.qcow2
	qemu-io -f qcow2 -c "write -P 1 12345678 1" b.qcow2 >/dev/null
	agree a.qcow2 b.qcow2
	prints $'Warning: Image size mismatch!\nContent mismatch at offset 12345344!'
	qemu-io -f qcow2 -c "write -P 1 5 1" b.qcow2 >/dev/null
	agree a.qcow2 b.qcow2
	prints 'Content mismatch at offset 0!'
	agree -s a.qcow2 b.qcow2
	prints 'Strict mode: Image size mismatch!'
}

@test "strict mode looks at sizes and block status" {
	make_disk
	qemu-img convert -f raw -O qcow2 a.raw a.qcow2
	cp a.qcow2 b.qcow2
	agree -s a.qcow2 b.qcow2
	prints "Images are identical."
	qemu-io -f qcow2 -c "write -z 8M 64k" b.qcow2 >/dev/null
	agree a.qcow2 b.qcow2
	# qemu-img names the start of the stretch, which on one side reaches the end of the disk
	run -1 qemu-img compare -s a.qcow2 b.qcow2
	qcowtool compare -s a.qcow2 b.qcow2
	[[ $status == 1 ]]
	prints "Strict mode: Offset 8388608 block status mismatch!"
	qemu-io -f qcow2 -c "write -P 3 720896 512" b.qcow2 >/dev/null
	agree -s a.qcow2 b.qcow2
	prints "Content mismatch at offset 720896!"
	head -c 1M /dev/zero | tr '\0' x | dd of=a.raw bs=64k seek=9 conv=notrunc status=none
	qemu-img convert -f raw -O qcow2 a.raw a.qcow2
	qemu-img convert -f raw -O qcow2 -c a.raw c.qcow2
	agree a.qcow2 c.qcow2
	agree -s a.qcow2 c.qcow2
	prints "Strict mode: Offset 589824 block status mismatch!"
}

@test "strict mode finds no difference where only the ends of stretches differ" {
	head -c 680k /dev/urandom >base.raw
	cp base.raw a.raw
	qemu-img create -q -f qcow2 -o cluster_size=512 -b base.raw -F raw b.qcow2
	# qemu-img asks b in pieces, and only the answer for a tells that it reaches the end
	run -1 qemu-img compare -s -F raw b.qcow2 a.raw
	succeeds compare -s -F raw b.qcow2 a.raw
	prints "Images are identical."
	qemu-io -f qcow2 -c "write -z 64k 64k" b.qcow2 >/dev/null
	qcowtool compare -s -F raw b.qcow2 a.raw
	[[ $status == 1 ]]
	prints "Strict mode: Offset 65536 block status mismatch!"
}

@test "chains are compared by what they show, and what they share is not read" {
	make_disk
	qemu-img convert -f raw -O qcow2 a.raw base.qcow2
	for name in a b; do
		qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 "$name.qcow2"
	done
	agree a.qcow2 b.qcow2
	agree a.qcow2 base.qcow2
	agree a.qcow2 a.raw
	qemu-io -f qcow2 -c "write -z 1M 64k" b.qcow2 >/dev/null
	agree a.qcow2 b.qcow2
	prints "Content mismatch at offset 1048576!"
	qemu-img create -q -f qcow2 -b a.raw -F raw c.qcow2
	agree c.qcow2 base.qcow2
	# Bytes that both sides take from one place can be unreadable: they are the same.
	qemu-img convert -f raw -O qcow2 -c a.raw packed.qcow2
	cp packed.qcow2 other.qcow2
	offset=$(($(stat -c %s packed.qcow2) / 2))
	head -c 4096 /dev/zero | tr '\0' '\377' |
		dd of=packed.qcow2 bs=1 seek=$offset conv=notrunc status=none
	succeeds compare packed.qcow2 packed.qcow2
	prints "Images are identical."
	qcowtool compare packed.qcow2 other.qcow2
	[[ $status == 1 || $status == 4 ]]
}

@test "formats are found out, and can be told" {
	make_disk
	qemu-img convert -f raw -O qcow2 a.raw a.qcow2
	agree -f raw -F qcow2 a.raw a.qcow2
	agree -f qcow2 -F raw a.qcow2 a.raw
	agree -f raw -F raw a.qcow2 a.qcow2
	agree -f raw a.qcow2 a.qcow2
	[[ $status == 1 ]]
	fails 2 compare -f vmdk a.qcow2 a.raw
	says "a.qcow2: format 'vmdk' is not supported"
	fails 2 compare -F qcow2 a.qcow2 a.raw
	says "a.raw: "
}

@test "the number of threads does not show" {
	make_disk
	qemu-img convert -f raw -O qcow2 -c a.raw a.qcow2
	qemu-img convert -f raw -O qcow2 a.raw b.qcow2
	for offset in 800000 1500000 2600000 3500000 9000000; do
		qemu-io -f qcow2 -c "write -P 0xaa $offset 70000" b.qcow2 >/dev/null
	done
	qemu-img compare a.qcow2 b.qcow2 >expected || true
	for jobs in 1 2 3 4 9 30; do
		qcowtool compare -j "$jobs" a.qcow2 b.qcow2
		[[ $status == 1 ]]
		prints "$(cat expected)"
	done
}

@test "JSON says what differs, and where" {
	succeeds create -q a.qcow2 1M
	succeeds create -q b.qcow2 2M
	succeeds compare --output=json a.qcow2 b.qcow2
	json '. == {filenames: ["a.qcow2", "b.qcow2"], "virtual-sizes": [1048576, 2097152],
		identical: true, "size-mismatch": true}'
	qcowtool compare -s --output=json a.qcow2 b.qcow2
	[[ $status == 1 ]]
	json '.identical == false and .mismatch == "size" and (has("mismatch-offset") | not)'
	succeeds write -q b.qcow2 --at=70000 --hex=01
	qcowtool compare --output=json a.qcow2 b.qcow2
	[[ $status == 1 ]]
	json '.mismatch == "content" and ."mismatch-offset" == 69632'
}

@test "failures have the status of qemu-img, and a line" {
	succeeds create -q a.qcow2 1M
	fails 2 compare a.qcow2 missing.qcow2
	says "missing.qcow2: "
	fails 2 compare missing.qcow2 a.qcow2
	fails 64 compare a.qcow2
	says "expected IMAGE1 IMAGE2"
	cp a.qcow2 b.qcow2
	succeeds write -q b.qcow2 --at=0 --hex=01
	printf '\x01' | dd of=b.qcow2 bs=1 seek=$((16#$(number_at b.qcow2 40))) conv=notrunc status=none
	fails 3 compare a.qcow2 b.qcow2
	says "b.qcow2: L1 entry"
	succeeds create -q d.qcow2 1M
	succeeds write -q -c d.qcow2 --at=0 --fill=1:64k
	l2=$((16#$(number_at d.qcow2 "$((16#$(number_at d.qcow2 40)))") & 0xfffffffffffe00))
	stream=$((16#$(number_at d.qcow2 "$l2") & 0x3fffffffffffff))
	printf '\377\377' | dd of=d.qcow2 bs=1 seek="$stream" conv=notrunc status=none
	fails 4 compare a.qcow2 d.qcow2
	says "d.qcow2: compressed cluster for guest offset 0"
}
