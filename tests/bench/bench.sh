# SPDX-License-Identifier: MIT
# What `./dev bench` runs: the same work by qcowtool and by QEMU's tools, in turns, one table.
#
#	bash bench.sh [--quick] [--markdown]
#
# --markdown prints the table as docs/PERFORMANCE.md has it. --quick takes small images and one run; its figures mean nothing, it proves that all of this works.
# BENCH_RUNS is the number of runs of each side, BENCH_FOLDER where the images go (6 GiB at most),
# BENCH_TREE a folder of real files for the rows that need some.
set -euo pipefail

: "${QCOWTOOL:?}"
programs=${BENCH_PROGRAMS:-$(dirname "$QCOWTOOL")/../tests}
measure=$(realpath "$programs/measure")
shuffle=$(realpath "$programs/shuffle_clusters")

runs=${BENCH_RUNS:-5} disk=100G allocated=20G patches=10000 metadata=1T shuffled=64G data=1024 tree=2048
header='%-47s %10s %10s %8s %9s %9s\n' line='%-47s %10.1f %10.1f %8.2f %9.1f %9.1f\n'
for word; do
	case $word in
	--quick)
		runs=${BENCH_RUNS:-1} disk=1G allocated=256M patches=200 metadata=4G shuffled=1G data=8 tree=16
		;;
	--markdown)
		header='| %s | %s | %s | %s | %s | %s |\n' line='| %s | %.1f | %.1f | %.2f | %.1f | %.1f |\n'
		;;
	*)
		echo "usage: bench.sh [--quick] [--markdown]" >&2
		exit 64
		;;
	esac
done

work=$(mktemp -d "$(realpath "${BENCH_FOLDER:-.}")/bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

# --- measuring ----------------------------------------------------------------------------------

# One run; its line is added to the samples of that side.
sample() { # ROW SIDE COMMAND...
	local file=$1.$2
	"$measure" "${@:3}" >>"$file"
}

# Both sides in turns. Functions prepare, ours and theirs say what; prepare is not measured. A first
# turn that does not count fills the caches.
compare() { # ROW
	local turn
	for ((turn = 0; turn <= runs; turn++)); do
		prepare
		ours "$1"
		theirs "$1"
		[[ $turn != 0 || $runs == 1 ]] || rm "$1.ours" "$1.theirs"
		[[ $runs != 1 ]] || break
	done
	print_row "$1"
}

median() { # FIELD FILE
	awk -v field="$1" '{ print $field }' "$2" | sort -n |
		awk '{ value[NR] = $1 } END { print (value[int((NR + 1) / 2)] + value[int(NR / 2) + 1]) / 2 }'
}

most() { # FIELD FILE
	awk -v field="$1" '$field > most { most = $field } END { print most }' "$2"
}

print_header() {
	# shellcheck disable=SC2059
	if [[ $header == '|'* ]]; then
		echo
		printf "$header" operation 'ours, ms' 'QEMU, ms' 'QEMU/ours' 'ours, peak MiB' 'QEMU, peak MiB' \
			--- ---: ---: ---: ---: ---:
	else
		printf "$header" operation 'ours' 'QEMU' 'QEMU/' 'ours' 'QEMU' \
			'' 'ms' 'ms' 'ours' 'peak MiB' 'peak MiB'
	fi
}

print_row() { # ROW
	awk -v name="$1" -v format="$line" -v a="$(median 1 "$1.ours")" -v b="$(median 1 "$1.theirs")" \
		-v c="$(most 2 "$1.ours")" -v d="$(most 2 "$1.theirs")" 'BEGIN {
		gsub(/_/, " ", name)
		printf format, name, a / 1000, b / 1000, b / a, c / 1024, d / 1024
	}'
}

prepare() { :; }

# --- images -------------------------------------------------------------------------------------

metadata_image() { # FILE SIZE
	qemu-img create -q -f qcow2 -o preallocation=metadata "$1" "$2"
}

# So many random 4 KiB places of the disk, in both languages; the same on every machine.
write_patch_lists() {
	awk -v count="$patches" -v blocks="$(($(numfmt --from=iec "$disk") / 4096))" 'BEGIN {
		state = 1
		for (i = 0; i < count; i++) {
			state = (state * 16807) % 2147483647
			at = (state % blocks) * 4096
			byte = i % 255 + 1
			printf "at %d fill %d:4096\n", at, byte >"patches.ours"
			printf "write -q -P %d %d 4096\n", byte, at >"patches.theirs"
		}
		print "flush" >"patches.theirs"
	}'
}

# --- operations ---------------------------------------------------------------------------------

bench_byte() {
	local at=$(($(numfmt --from=iec "$allocated") / 2 + 12345))
	metadata_image one.qcow2 "$allocated"
	qemu-img resize -q one.qcow2 "$disk"
	cp --sparse=always one.qcow2 two.qcow2
	ours() { sample "$1" ours "$QCOWTOOL" write -q one.qcow2 --at="$at" --fill=7:1; }
	theirs() { sample "$1" theirs qemu-io -f qcow2 -c "write -q -P 7 $at 1" -c flush two.qcow2; }
	compare "write_1_byte,_${disk}_disk,_${allocated}_allocated"
}

# One command line each. qemu-io is told what to do on stdin; its table cache has the default size.
bench_patches() {
	write_patch_lists
	prepare() {
		local image
		for image in one two; do
			rm -f $image.qcow2
			qemu-img create -q -f qcow2 $image.qcow2 "$disk"
		done
	}
	ours() { sample "$1" ours "$QCOWTOOL" write -q one.qcow2 --script=patches.ours; }
	theirs() { sample "$1" theirs qemu-io -f qcow2 two.qcow2 <patches.theirs; }
	compare "write_${patches}_random_4K,_empty_${disk}_disk"
	prepare() { :; }
	qemu-img compare -q one.qcow2 two.qcow2
}

# On what the random patches left.
bench_look() {
	ours() { sample "$1" ours "$QCOWTOOL" map --output=json two.qcow2; }
	theirs() { sample "$1" theirs qemu-img map --output=json two.qcow2; }
	compare "map,_those_${patches}_places"
	ours() { sample "$1" ours "$QCOWTOOL" info two.qcow2; }
	theirs() { sample "$1" theirs qemu-img info two.qcow2; }
	compare "info,_${disk}_disk"
	ours() { sample "$1" ours "$QCOWTOOL" check two.qcow2; }
	theirs() { sample "$1" theirs qemu-img check two.qcow2; }
	compare "check,_those_${patches}_places"
}

# qemu-img create does not sync, so there is a row without it.
bench_create() {
	prepare() { rm -f new.ours new.theirs; }
	theirs() { sample "$1" theirs qemu-img create -q -f qcow2 new.theirs "$disk"; }
	ours() { sample "$1" ours "$QCOWTOOL" create -q new.ours "$disk"; }
	compare "create,_${disk}_disk"
	ours() { sample "$1" ours "$QCOWTOOL" create -q --no-sync new.ours "$disk"; }
	compare "create_--no-sync,_${disk}_disk"
	prepare() { :; }
}

bench_shuffled() {
	metadata_image one.qcow2 "$shuffled"
	"$shuffle" one.qcow2
	ours() { sample "$1" ours "$QCOWTOOL" check one.qcow2; }
	theirs() { sample "$1" theirs qemu-img check one.qcow2; }
	compare "check,_${shuffled}_allocated,_shuffled"
	ours() { sample "$1" ours "$QCOWTOOL" map --output=json one.qcow2; }
	theirs() { sample "$1" theirs qemu-img map --output=json one.qcow2; }
	compare "map,_${shuffled}_allocated,_shuffled"
}

# Half of the disk is data. convert is told to sync, as our read -o does before the file appears.
bench_read() {
	local size=$((data * 2))M
	head -c "${data}M" /dev/urandom >raw
	truncate -s "$size" raw
	qemu-img convert -f raw -O qcow2 raw one.qcow2
	rm raw
	prepare() { rm -f new.ours new.theirs; }
	ours() { sample "$1" ours "$QCOWTOOL" read -o new.ours one.qcow2; }
	theirs() {
		sample "$1" theirs qemu-img convert -t writeback -f qcow2 -O raw one.qcow2 new.theirs
	}
	compare "read,_${size}_disk,_half_of_it_data_(convert)"
	cmp new.ours new.theirs
	theirs() { sample "$1" theirs qemu-img dd -f qcow2 -O raw bs=2M if=one.qcow2 of=new.theirs; }
	compare "read,_${size}_disk,_half_of_it_data_(dd)"
	cmp new.ours new.theirs
	prepare() { :; }
}

# The image that bench_read leaves. The bound of hashing is cat, which only reads the file.
bench_hash() {
	local size=$((data * 2))M
	cp one.qcow2 two.qcow2
	ours() { sample "$1" ours "$QCOWTOOL" hash one.qcow2; }
	theirs() { sample "$1" theirs sh -c 'cat one.qcow2 >/dev/null'; }
	compare "hash,_${size}_disk,_half_of_it_data_(cat)"
	ours() { sample "$1" ours "$QCOWTOOL" compare one.qcow2 two.qcow2; }
	theirs() { sample "$1" theirs qemu-img compare one.qcow2 two.qcow2; }
	compare "compare,_${size}_disk,_half_of_it_data"
}

# A raw file of that many MiB out of real files, in the order of their names.
pack_tree() { # MIB
	find "${BENCH_TREE:-/usr}" -xdev -type f -size +1k -print0 2>/dev/null | sort -z |
		xargs -0 cat 2>/dev/null | head -c "$1M" || true
}

# What an earlier run left goes before each, so that both find as many pages free; the copy that is
# expanded in place is on stable storage before the clock starts, as convert's source is.
bench_decompress() {
	local type
	pack_tree "$tree" >raw
	for type in zlib zstd; do
		qemu-img convert -c -f raw -O qcow2 -o compression_type=$type raw packed.qcow2
		unpack_with() { # ROW OPTION...
			rm -f one.qcow2 two.qcow2
			cp packed.qcow2 one.qcow2
			sync one.qcow2
			sample "$1" ours "$QCOWTOOL" decompress -q "${@:2}" one.qcow2
		}
		convert_with() { # ROW OPTION...
			rm -f one.qcow2 two.qcow2
			sample "$1" theirs qemu-img convert -O qcow2 "${@:2}" packed.qcow2 two.qcow2
		}
		ours() { unpack_with "$1"; }
		theirs() { convert_with "$1" -t writeback; }
		compare "decompress,_${tree}M_of_files,_$type"
		ours() { unpack_with "$1" --no-sync; }
		theirs() { convert_with "$1" -t unsafe; }
		compare "decompress_--no-sync,_${tree}M_of_files,_$type"
		prepare() { rm -f new.ours new.theirs; }
		ours() { sample "$1" ours "$QCOWTOOL" read -o new.ours packed.qcow2; }
		theirs() {
			sample "$1" theirs qemu-img convert -t writeback -O raw packed.qcow2 new.theirs
		}
		compare "read,_${tree}M_of_files,_${type}_(convert)"
		cmp new.ours new.theirs
		prepare
		prepare() { :; }
		ours() { sample "$1" ours "$QCOWTOOL" compare packed.qcow2 raw; }
		theirs() { sample "$1" theirs qemu-img compare packed.qcow2 raw; }
		compare "compare_with_raw,_${tree}M_of_files,_$type"
		unpack_with last
		qemu-img compare -q -f raw -F qcow2 raw one.qcow2
	done
	rm -f raw
}

# An empty overlay takes in all of its backing file, or what another one shows differently: a tenth.
bench_rebase() {
	pack_tree "$tree" >raw
	qemu-img convert -f raw -O qcow2 raw base.qcow2
	cp base.qcow2 other.qcow2
	awk -v mib="$tree" 'BEGIN { for (i = 0; i < mib; i += 10) print "write -q -P 7 " i "M 1M" }' |
		qemu-io -f qcow2 other.qcow2 >/dev/null
	rm raw
	prepare() {
		rm -f one.qcow2 two.qcow2
		qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 one.qcow2
		qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 two.qcow2
	}
	ours() { sample "$1" ours "$QCOWTOOL" rebase -q -b '' one.qcow2; }
	theirs() { sample "$1" theirs qemu-img rebase -t writeback -b '' two.qcow2; }
	compare "flatten,_${tree}M_of_files"
	qemu-img compare -q one.qcow2 base.qcow2
	ours() { sample "$1" ours "$QCOWTOOL" rebase -q --no-sync -b '' one.qcow2; }
	theirs() { sample "$1" theirs qemu-img rebase -t unsafe -b '' two.qcow2; }
	compare "flatten_--no-sync,_${tree}M_of_files"
	ours() { sample "$1" ours "$QCOWTOOL" rebase -q -b other.qcow2 -F qcow2 one.qcow2; }
	theirs() { sample "$1" theirs qemu-img rebase -t writeback -b other.qcow2 -F qcow2 two.qcow2; }
	compare "rebase,_${tree}M_of_files,_a_tenth_differs"
	qemu-img compare -q one.qcow2 base.qcow2
	prepare() { :; }
}

bench_check() {
	ours() { sample "$1" ours "$QCOWTOOL" check one.qcow2; }
	theirs() { sample "$1" theirs qemu-img check one.qcow2; }
	compare "check,_${metadata}_allocated"
}

# Each turn takes a snapshot, changes a byte, goes back and deletes the snapshot, so every turn begins
# with the same image. There is no first turn for nothing: it would take minutes.
bench_snapshots() {
	local turn row
	"$QCOWTOOL" --help | grep -q '^ *snapshot-cow ' || return 0
	cp --sparse=always one.qcow2 two.qcow2
	for ((turn = 0; turn < runs; turn++)); do
		for row in create:-c apply:-a delete:-d; do
			sample "${row%:*}" ours "$QCOWTOOL" snapshot-cow "${row%:*}" one.qcow2 before
			sample "${row%:*}" theirs qemu-img snapshot "${row#*:}" before two.qcow2
			[[ $row == create:* ]] || continue
			"$QCOWTOOL" write -q one.qcow2 --at=1M --fill=7:1
			"$QCOWTOOL" write -q two.qcow2 --at=1M --fill=7:1
		done
	done
	for row in create apply delete; do
		mv "$row.ours" "snapshot-cow_$row,_${metadata}_allocated.ours"
		mv "$row.theirs" "snapshot-cow_$row,_${metadata}_allocated.theirs"
		print_row "snapshot-cow_$row,_${metadata}_allocated"
	done
	"$QCOWTOOL" check -q one.qcow2
}

echo "Runs of each side, in turns: $runs. Times are medians, peaks the most. $(qemu-img --version | head -n 1)"
print_header
bench_byte
bench_patches
bench_look
bench_create
rm -f ./*.qcow2 new.*
bench_shuffled
rm -f ./*.qcow2
bench_read
bench_hash
rm -f ./*.qcow2 new.*
bench_decompress
rm -f ./*.qcow2
bench_rebase
rm -f ./*.qcow2
metadata_image one.qcow2 "$metadata"
bench_check
bench_snapshots
