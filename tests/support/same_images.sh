#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Whether two builds of qcowtool do the same: the same commands must leave the same bytes in every
# image, and say the same. `./dev cross s390x same` asks that of a machine of the other byte order.
#
#	same_images.sh FOLDER QCOWTOOL OTHER-QCOWTOOL
#
# The program of tests/cli/recover/interrupted.c lies beside each, as ../tests/interrupted.
set -euo pipefail

folder=${1:?}
programs=("$(realpath "${2:?}")" "$(realpath "${3:?}")")
export SOURCE_DATE_EPOCH=1700000000 LC_ALL=C

kinds() { # one a line: NAME OPTIONS-OF-CREATE
	cat <<-END
		plain compat=1.1
		old compat=0.10
		small cluster_size=512
		large cluster_size=2M
		zstd compression_type=zstd,refcount_bits=1
		wide refcount_bits=64,lazy_refcounts=on
		narrow refcount_bits=4
		subclusters extended_l2=on
		subclusters-zstd extended_l2=on,cluster_size=16k,compression_type=zstd
		prepared preallocation=metadata,cluster_size=4k
		data-file data_file=data-file.raw
	END
}

# What the steps say is part of what must be the same; that some kinds refuse some of them, too. How
# much of the disk a file takes up is the file system's to say.
step() { # ARGUMENT...
	local status=0
	echo "== $*"
	"$qcowtool" "$@" 2>&1 </dev/null | grep -v '"actual-size":' || status=${PIPESTATUS[0]}
	echo "== status $status"
}

edit() { # IMAGE
	step write "$1" --at=5 --hex=0102030405060708 --at=100k --fill=0x41:300k --at=3M --file=pattern
	step write "$1" --compress --at=10M --file=pattern --at=18M --fill=0x43:4M
	step snapshot-cow create "$1" one
	step write "$1" --at=150k --zero=200k --at=3500k --discard=1M --at=10300k --text=words
	step snapshot-cow create "$1" two
	step write "$1" --grow --at=63M --fill=0x44:3M
	step snapshot-cow apply "$1" one
	step snapshot-cow delete "$1" two
	step decompress "$1"
}

look_at() { # IMAGE
	step info --output=json "$1"
	step check --deep --output=json "$1"
	step map --output=json "$1"
	step map --svg="$1.svg" "$1"
	step hash --output=json "$1"
	step read --hex --length=64k --at=3M "$1"
	step snapshot-cow list "$1"
}

chain() {
	step create -b plain.qcow2 -F qcow2 top.qcow2
	step write top.qcow2 --at=1M --fill=0x45:100k --at=20M --zero=3M
	step create -b small.qcow2 -F qcow2 -o cluster_size=4k other.qcow2
	step compare plain.qcow2 other.qcow2
	step rebase -b other.qcow2 -F qcow2 top.qcow2
	look_at top.qcow2
}

interrupt_and_recover() {
	local state interrupted=${qcowtool%/cmd/qcowtool}/tests/interrupted
	for state in before after torn-100 grown-200; do
		step create "$state.qcow2" 1M
		step write "$state.qcow2" --fill=0x11:512k
		"$interrupted" "$state.qcow2" "$state"
		cp "$state.qcow2" "$state.left"
		step recover -n --output=json "$state.qcow2"
		step recover "$state.qcow2"
	done
}

# Runs in the folder.
make_all() {
	local name options
	seq -f 'line %.0f of a pattern' 1 200000 >pattern
	while read -r name options; do
		step create -o "$options" "$name.qcow2" 64M
		edit "$name.qcow2"
		look_at "$name.qcow2"
	done < <(kinds)
	chain
	interrupt_and_recover
}

for i in 0 1; do
	rm -rf "${folder:?}/$i"
	mkdir -p "$folder/$i"
	qcowtool=${programs[i]}
	(cd "$folder/$i" && make_all >said)
done
status=0
for file in "$folder"/0/*; do
	cmp "$file" "$folder/1/${file##*/}" || status=1
done
[[ $(ls "$folder/0") == "$(ls "$folder/1")" ]] || status=1
count=$(find "$folder/0" -type f | wc -l)
[[ $status != 0 ]] || echo "$count files are the same"
exit "$status"
