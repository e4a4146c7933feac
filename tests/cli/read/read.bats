# read gives the bytes that the guest sees.

load ../../support/cli
load ../../support/matrix

@test "contents equal what qemu-img converts, on stdout and in a file" {
	make_plain_images
	make_chains
	for image in *.qcow2 sub/*.qcow2; do
		qemu-img convert -f qcow2 -O raw "$image" expected
		"$QCOWTOOL" read "$image" | cmp - expected
		succeeds read -o got "$image"
		cmp got expected
	done
}

@test "snapshots equal what qemu-img converts" {
	make_plain_images
	qemu-img convert -l one -O raw snap.qcow2 expected
	"$QCOWTOOL" read --snapshot=one snap.qcow2 | cmp - expected
	"$QCOWTOOL" read --snapshot=1 snap.qcow2 | cmp - expected
	qemu-img convert -l "two words" -O raw snap.qcow2 expected
	"$QCOWTOOL" read --snapshot="two words" snap.qcow2 | cmp - expected
}

@test "a part is that part" {
	make_plain_images
	qemu-img convert -f qcow2 -O raw c4k.qcow2 whole
	"$QCOWTOOL" read --at=1048575 --length=1000001 c4k.qcow2 |
		cmp - <(tail -c +1048576 whole | head -c 1000001)
	"$QCOWTOOL" read --at=99M c4k.qcow2 | cmp - <(tail -c 1M whole)
	succeeds read --at=100M c4k.qcow2
	prints ""
}

@test "past the end is an error and prints nothing" {
	qemu-img create -q -f qcow2 a.qcow2 1M
	fails 1 read --at=1M --length=1 a.qcow2
	says "past the end of the disk"
	fails 1 read --at=2M a.qcow2
	fails 1 read --at=1 --length=0xffffffffffffffff a.qcow2
}

@test "--hex is hexdump -C with the disk's offsets" {
	make_plain_images
	qemu-img convert -f qcow2 -O raw c4k.qcow2 whole
	"$QCOWTOOL" read --hex c4k.qcow2 | cmp - <(hexdump -C whole)
	"$QCOWTOOL" read --hex --at=204700 --length=4133 c4k.qcow2 |
		cmp - <(hexdump -C -s 204700 -n 4133 whole)
	succeeds read --hex --length=0 c4k.qcow2
	prints ""
}

@test "a file is sparse and replaced only when complete" {
	qemu-img create -q -f qcow2 a.qcow2 1G
	qemu-io -c "write -P 1 512M 64k" a.qcow2 >/dev/null
	echo old >out
	succeeds read -o out a.qcow2
	(($(stat -c %s out) == 1 << 30 && $(stat -c %b out) * 512 <= 1 << 20))
	# Without its codec's data the compressed cluster cannot be read.
	qemu-io -c "write -c -P 1 0 64k" a.qcow2 >/dev/null
	offset=$(qemu-img check --output=json a.qcow2 | jq '."image-end-offset"')
	echo old >out
	dd if=/dev/urandom of=a.qcow2 bs=512 seek=$((offset / 512 - 128)) count=128 conv=notrunc status=none
	fails 1 read -o out a.qcow2
	[[ $(<out) == old ]]
}

@test "the image and its chain are not overwritten" {
	make_chains
	for file in cut.qcow2 on-raw.qcow2 base.raw; do
		unchanged "$file" fails 1 read -o "$file" cut.qcow2
		ln -sf "$file" link
		unchanged "$file" fails 1 read -o link cut.qcow2
	done
	fails 1 read -o /dev/null cut.qcow2
	fails 1 read -o . cut.qcow2
}

@test "an output that breaks is one line and status 1" {
	qemu-img create -q -f qcow2 a.qcow2 16M
	run --separate-stderr bash -c '"$QCOWTOOL" read a.qcow2 >/dev/full'
	[[ $status == 1 ]]
	one_error_line read
	says "No space left on device"
}

@test "a terminal gets a dump, and never the bytes themselves" {
	succeeds create -q disk.qcow2 1M
	succeeds write -q disk.qcow2 --text=$'\e]0;mine\a'
	script -qec "'$QCOWTOOL' read --length=8 disk.qcow2" typescript </dev/null >seen && return 1
	grep -qF "qcowtool read: disk.qcow2: stdout is a terminal: use --hex" seen
	[[ $(wc -l <seen) == 1 ]]
	run ! grep -qF $'\e' seen
	script -qec "'$QCOWTOOL' read --hex --length=8 disk.qcow2" typescript </dev/null >seen
	grep -qF "|.]0;mine|" seen
	script -qec "'$QCOWTOOL' read -o out --length=8 disk.qcow2" typescript </dev/null >seen
	[[ $(tail -c 4 out) == mine && ! -s seen ]]
}

@test "what a file lacks that was cut off reads as zeroes, as with QEMU, and check finds it" {
	succeeds create -q disk.qcow2 4M
	succeeds write -q disk.qcow2 --at=0 --fill=7:2M
	for size in 1M 200000 512; do
		truncate -s "$size" disk.qcow2
		qemu-img convert -f qcow2 -O raw disk.qcow2 expected
		succeeds read -o out disk.qcow2
		cmp out expected
		succeeds hash -q disk.qcow2
		succeeds map -q disk.qcow2
		qcowtool check disk.qcow2
		[[ $status == 2 && $stderr == *"past the end of the file"* ]] || complain "$size"
	done
}
