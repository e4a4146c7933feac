# create makes what qemu-img create makes.

load ../../support/cli

# With the same arguments both must make images that say the same, and print the same line.
same_create() { # ARGUMENT... (the image is a.qcow2)
	rm -f a.qcow2
	expected=$(qemu-img create -f qcow2 "$@")
	expected_info=$(qemu-img info --output=json a.qcow2 | jq -S 'del(."actual-size")')
	rm a.qcow2
	succeeds create "$@"
	prints "$expected"
	is_clean a.qcow2
	diff <(qemu-img info --output=json a.qcow2 | jq -S 'del(."actual-size")') \
		<(printf '%s\n' "$expected_info") || complain "create $* differs"
}

@test "every combination of widths, cluster sizes and preallocation is clean" {
	for size in 512 4k 64k 2M; do
		for bits in 1 4 16 64; do
			for preallocation in off metadata falloc full; do
				same_create -o "cluster_size=$size,refcount_bits=$bits" \
					-o "preallocation=$preallocation" a.qcow2 3M
			done
		done
	done
}

@test "every combination of features is clean" {
	for compression in zlib zstd; do
		for lazy in on off; do
			for extended in on off; do
				same_create -o "compression_type=$compression,lazy_refcounts=$lazy" \
					-o "extended_l2=$extended,compat=1.1" a.qcow2 3M
			done
		done
	done
	same_create -o compat=0.10 a.qcow2 3M
	same_create -o extended_l2=on,preallocation=metadata a.qcow2 3M
}

@test "sizes from nothing to petabytes" {
	for size in 0 1 512 1000 1M 1T 64P; do
		same_create a.qcow2 -o cluster_size=2M "$size"
	done
	fails 1 create b.qcow2 64P
	says "too large"
	[[ ! -e b.qcow2 ]]
}

@test "a backing file gives its size and must exist" {
	truncate -s 5M base.raw
	printf x >>base.raw
	qemu-img create -q -f qcow2 base.qcow2 7M
	same_create -b base.raw -F raw a.qcow2
	same_create -b base.qcow2 -F qcow2 a.qcow2
	same_create -b base.qcow2 -F qcow2 a.qcow2 1M
	same_create -b base.qcow2 -F qcow2 -o cluster_size=512 a.qcow2
	same_create -b base.qcow2 -F qcow2 -o extended_l2=on,preallocation=metadata a.qcow2
	fails 1 create -b none -F raw new.qcow2 1M
	says "backing file 'none'"
	fails 1 create -b base.raw -F qcow2 new.qcow2
	fails 1 create -b base.qcow2 -F qcow2 -o preallocation=full new.qcow2
	[[ ! -e new.qcow2 ]]
}

@test "the backing file is looked for beside the image" {
	mkdir sub
	qemu-img create -q -f qcow2 sub/base.qcow2 7M
	succeeds create -q -b base.qcow2 -F qcow2 sub/a.qcow2
	prints ""
	[[ $(qemu-img info --output=json sub/a.qcow2 | jq '."virtual-size"') == 7340032 ]]
}

@test "wrong use is one line and status 64" {
	fails 64 create a.qcow2
	fails 64 create -b base a.qcow2
	fails 64 create -F raw a.qcow2 1M
	fails 64 create a.qcow2 big
	fails 64 create -o cluster_size=1000 a.qcow2 1M
	fails 64 create -o nonsense=1 a.qcow2 1M
	fails 64 create -o lazy_refcounts=maybe a.qcow2 1M
	[[ ! -e a.qcow2 ]]
}

@test "what cannot be is refused before a file appears" {
	fails 1 create -o cluster_size=4M a.qcow2 1M
	fails 1 create -o refcount_bits=128 a.qcow2 1M
	fails 1 create -o compat=0.10,lazy_refcounts=on a.qcow2 1M
	fails 1 create -o compat=0.10,compression_type=zstd a.qcow2 1M
	fails 1 create -o extended_l2=on,cluster_size=8k a.qcow2 1M
	fails 1 create nowhere/a.qcow2 1M
	[[ ! -e a.qcow2 && ! -e nowhere ]]
}

@test "an existing file stays unless --force is given" {
	echo precious >a.qcow2
	unchanged a.qcow2 fails 1 create a.qcow2 1M
	says "it exists already; --force replaces it"
	succeeds create --force a.qcow2 1M
	is_clean a.qcow2
	ln -s a.qcow2 link
	succeeds create --force link 2M
	[[ -L link && $(qemu-img info --output=json a.qcow2 | jq '."virtual-size"') == 2097152 ]]
	unchanged a.qcow2 fails 1 create --force a.qcow2 64P
	unchanged a.qcow2 fails 1 create --force -b a.qcow2 -F qcow2 a.qcow2
	fails 1 create --force /dev/null 1M
	fails 1 create --force . 1M
}
