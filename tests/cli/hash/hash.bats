#!/usr/bin/env bats
# hash: the same line for the same disk, whatever the image.

load ../../support/cli

# Bytes that look random and compress somewhat, the same each time.
pattern() { # LENGTH SEED
	openssl enc -aes-128-ctr -nosalt -K "$(printf '%032x' "$2")" -iv 0 -in /dev/zero 2>/dev/null |
		head -c "$1" | basenc --base16 -w 0 | head -c "$1"
}

make_disk() { # raw.img: data here and there, and an odd number of sectors
	truncate -s $((70 * 1024 * 1024 + 512)) raw.img
	pattern 1000000 1 | dd of=raw.img bs=1M seek=3 conv=notrunc status=none
	pattern 300000 2 | dd of=raw.img bs=65536 seek=1025 conv=notrunc status=none
	pattern 512 3 | dd of=raw.img bs=512 seek=143360 conv=notrunc status=none
}

digest() { # IMAGE
	succeeds hash "$1"
	echo "${output%% *}"
}

# The program that docs/HASH.md shows.
documented_hash() { # FILE
	awk '/^```sh/ { on = 1; next } /^```/ { on = 0 } on' "$BATS_TEST_DIRNAME/../../../docs/HASH.md" >hash.sh
	sh hash.sh "$1"
}

@test "all ways to store a disk have one hash, that of the documented program" {
	make_disk
	expected=$(documented_hash raw.img)
	[[ $expected =~ ^[0-9a-f]{32}$ ]]
	for options in cluster_size=512 cluster_size=2M compat=0.10 extended_l2=on \
		compression_type=zstd,cluster_size=4k; do
		qemu-img convert -f raw -O qcow2 -o "$options" raw.img plain.qcow2
		qemu-img convert -f raw -O qcow2 -c -o "$options" raw.img packed.qcow2
		[[ $(digest plain.qcow2) == "$expected" ]]
		[[ $(digest packed.qcow2) == "$expected" ]]
	done
	qemu-img convert -f raw -O qcow2 -S 0 raw.img full.qcow2
	[[ $(digest full.qcow2) == "$expected" ]]
}

@test "what lies in backing files counts like the rest" {
	make_disk
	qemu-img convert -f raw -O qcow2 -c raw.img base.qcow2
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 -o cluster_size=4k middle.qcow2
	qemu-io -f qcow2 -c 'write -P 7 1M 64k' -c 'write -z 3M 128k' middle.qcow2 >/dev/null
	qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2
	qemu-io -f qcow2 -c 'write -P 8 69M 3k' top.qcow2 >/dev/null
	qemu-img convert -O raw top.qcow2 flat.raw
	[[ $(digest top.qcow2) == "$(documented_hash flat.raw)" ]]
	[[ $(digest top.qcow2) != "$(digest base.qcow2)" ]]
}

@test "a disk in an external data file has the hash of any other" {
	make_disk
	qemu-img convert -f raw -O qcow2 -o data_file=data.raw raw.img a.qcow2
	[[ $(digest a.qcow2) == "$(documented_hash raw.img)" ]]
}

@test "a changed byte and a changed size change the hash, and undoing them brings it back" {
	make_disk
	qemu-img convert -f raw -O qcow2 raw.img a.qcow2
	before=$(digest a.qcow2)
	succeeds write -q a.qcow2 --at=70M --hex=00
	[[ $(digest a.qcow2) != "$before" ]]
	first=$(head -c $((70 * 1024 * 1024 + 1)) raw.img | tail -c 1 | basenc --base16)
	succeeds write -q a.qcow2 --at=70M --hex="$first"
	[[ $(digest a.qcow2) == "$before" ]]
	qemu-img resize -q a.qcow2 +512
	[[ $(digest a.qcow2) != "$before" ]]
}

@test "a snapshot has the hash that the disk had" {
	succeeds create -q a.qcow2 9M
	succeeds write -q a.qcow2 --at=5M --text=before
	before=$(digest a.qcow2)
	succeeds snapshot-cow create a.qcow2 'a name'
	succeeds write -q a.qcow2 --at=5M --text=after
	[[ $(digest a.qcow2) != "$before" ]]
	succeeds hash --snapshot='a name' a.qcow2
	prints "$before  a.qcow2"
	succeeds hash a.qcow2 --snapshot=1
	prints "$before  a.qcow2"
	fails 1 hash --snapshot=nobody a.qcow2
	says "a.qcow2: there is no snapshot 'nobody'"
}

@test "the documented values hold" {
	local size hash
	while read -r size hash; do
		rm -f a.qcow2
		succeeds create -q a.qcow2 "$size"
		[[ $(digest a.qcow2) == "$hash" ]]
		grep -qF "$hash" "$BATS_TEST_DIRNAME/../../../docs/HASH.md"
	done <<-END
		0 2c0a8a99dc147d5445c3b49d035665b2
		512 5ff6a4c23dfbfada2b52ebbe70ae64a6
		256K a7ca7f68ef305258ddd3254bea5dae70
		1G a78d059dfbeeababb6aa433218fa0c3b
	END
	rm a.qcow2
	succeeds create -q a.qcow2 1049088
	succeeds write -q a.qcow2 --at=0 --fill=0x61:1049088
	[[ $(digest a.qcow2) == f8db338d45ee64527385f3f2f0d9c5c2 ]]
	grep -qF f8db338d45ee64527385f3f2f0d9c5c2 "$BATS_TEST_DIRNAME/../../../docs/HASH.md"
}

@test "a petabyte of nothing takes no time and no memory" {
	succeeds create -q -o cluster_size=2M a.qcow2 1P
	ulimit -t 5
	ulimit -v 1000000
	[[ $(digest a.qcow2) == 2dd00a90037738dec4e1ae7b3513be3a ]]
}

@test "JSON names what was hashed and how" {
	succeeds create -q a.qcow2 1G
	succeeds hash --output=json a.qcow2
	json 'keys == ["algorithm", "filename", "hash", "virtual-size"]'
	json '.filename == "a.qcow2" and ."virtual-size" == 1073741824 and .algorithm == "xxh3-128-tree"'
	json '.hash == "a78d059dfbeeababb6aa433218fa0c3b"'
	succeeds hash -q a.qcow2
	prints ""
}

@test "the number of threads does not show" {
	make_disk
	qemu-img convert -f raw -O qcow2 -c raw.img a.qcow2
	expected=$(digest a.qcow2)
	for jobs in 1 2 3 16; do
		succeeds hash -j "$jobs" a.qcow2
		prints "$expected  a.qcow2"
	done
}

@test "an image that cannot be read to its end has no hash" {
	make_disk
	qemu-img convert -f raw -O qcow2 -c raw.img a.qcow2
	offset=$(qemu-img map --output=json a.qcow2 | jq -r '.[] | select(.data) | .start' | head -n 1)
	[[ $offset == 3145728 ]]
	# the L2 entry of that cluster, at the second table that the file has
	"$QCOWTOOL" check --output=json a.qcow2 >/dev/null
	l1=$(dd if=a.qcow2 bs=1 skip=40 count=8 status=none | basenc --base16)
	l2=$(dd if=a.qcow2 bs=1 skip=$((16#$l1)) count=8 status=none | basenc --base16)
	printf '\x01\0\0\0\0\0\0\0' |
		dd of=a.qcow2 bs=1 seek=$(((16#$l2 & 0xfffffffffffe00) + 48 * 8)) conv=notrunc status=none
	fails 1 hash a.qcow2
	says "guest offset 0x300000"
}

@test "-U reads what a virtual machine holds, without it the image is refused" {
	succeeds create -q a.qcow2 1M
	mkfifo commands
	qemu-io -f qcow2 a.qcow2 <commands >said 3>&- &
	exec 4>commands # it goes on until this is closed
	echo 'write 0 1k' >&4
	timeout 60 sh -c 'until grep -q wrote said; do sleep 0.05; done'
	fails 1 hash a.qcow2
	succeeds hash -U a.qcow2
	exec 4>&-
	wait "$!"
}
