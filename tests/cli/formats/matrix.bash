# SPDX-License-Identifier: MIT
# Every kind of image x every command. Each cell is either checked against QEMU's tools or refused,
# with nothing changed, in one of the lines below; what comes out is the table of docs/FORMAT-NOTES.md.
#
#	QCOWTOOL=build/plain/cmd/qcowtool bash tests/cli/formats/matrix.bash	prints that table
# shellcheck shell=bash

kinds=(v2 v3 one-bit extended-l2 zstd compressed lazy dirty bitmaps snapshots backing data-file data-file-raw
	luks qcow1)
commands=(info map read check create write write-c snapshot-cow rebase decompress check-r hash
	compare recover)

# The lines in which something is refused: a letter for the table, and words of the line.
refusals=(
	"a:encrypted images cannot be read"
	"b:the image is encrypted, and its contents cannot be changed"
	"c:the image is encrypted, and its clusters cannot be moved"
	"d:there is no option 'encrypt.format'"
	"e:qcow version 1 is not supported; convert it first: qemu-img convert -f qcow -O qcow2 OLD NEW"
	"f:cannot grow beyond 1"
	"g:there are no compressed clusters in an external data file"
	"h:images with an external data file have no internal snapshots"
	"i:its data file is a raw image of its own (data_file_raw), which a backing file would not show through"
)

kind_text() { # KIND
	case $1 in
	v2) echo "version 2 (compat=0.10)" ;;
	v3) echo "version 3" ;;
	one-bit) echo "refcounts of 1 bit" ;;
	extended-l2) echo "extended L2 entries" ;;
	zstd) echo "compressed with zstd" ;;
	compressed) echo "compressed with zlib" ;;
	lazy) echo "lazy refcounts" ;;
	dirty) echo "lazy refcounts, left dirty" ;;
	bitmaps) echo "dirty bitmaps, enabled and disabled" ;;
	snapshots) echo "internal snapshots" ;;
	backing) echo "backing file" ;;
	data-file) echo "external data file" ;;
	data-file-raw) echo "external data file, raw" ;;
	luks) echo "encrypted (LUKS)" ;;
	qcow1) echo "qcow version 1" ;;
	esac
}

# Cluster size and refcount width of the images of a kind.
shapes() { # KIND
	case $1 in
	v2) echo 512,16 2M,16 ;;
	extended-l2) echo 16k,16 64k,4 64k,64 ;;
	luks) echo 4k,16 64k,16 ;;
	qcow1) echo - ;;
	zstd | compressed) echo 512,16 4k,32 64k,64 ;;
	one-bit) echo 512,1 64k,1 ;;
	*) echo 512,16 4k,4 64k,64 ;;
	esac
}

options_of() { # KIND SHAPE
	local common="cluster_size=${2%,*},refcount_bits=${2#*,}"
	case $1 in
	v2) echo "compat=0.10,cluster_size=${2%,*}" ;;
	extended-l2) echo "$common,extended_l2=on" ;;
	zstd) echo "$common,compression_type=zstd" ;;
	lazy | dirty) echo "$common,lazy_refcounts=on" ;;
	data-file) echo "$common,data_file=data.raw" ;;
	data-file-raw) echo "$common,data_file=data.raw,data_file_raw=on" ;;
	luks) echo "$common,encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10" ;;
	*) echo "$common" ;;
	esac
}

# How QEMU's programs open image.qcow2.
opened_by_qemu() {
	how=(--image-opts "driver=qcow2,file.filename=image.qcow2")
	[[ $kind != luks ]] || how=(--object "secret,id=key,data=secret" --image-opts
		"driver=qcow2,file.filename=image.qcow2,encrypt.key-secret=key")
}

# Runs qemu-io commands on it.
io() { # COMMAND...
	local how all=()
	while (($#)); do
		all+=(-c "$1")
		shift
	done
	opened_by_qemu
	qemu-io "${all[@]}" "${how[@]}" >/dev/null
}

# The guest's bytes as QEMU reads them are in guest.raw then.
guest() {
	local how
	rm -f guest.raw
	opened_by_qemu
	qemu-img convert -U -O raw "${how[@]}" guest.raw
	sha256sum <guest.raw
}

sound() {
	local how
	opened_by_qemu
	qemu-img check -q "${how[@]}"
}

# Makes image.qcow2, and what belongs to it, in this folder.
make_image() { # KIND SHAPE
	local options
	options=$(options_of "$1" "$2")
	case $1 in
	qcow1)
		qemu-img create -q -f qcow image.qcow2 8M
		return
		;;
	luks) make_encrypted key -o "$options" image.qcow2 8M ;;
	backing)
		qemu-img create -q -f raw base.raw 6M
		qemu-io -f raw -c "write -P 9 1M 4M" base.raw >/dev/null
		qemu-img create -q -f qcow2 -o "$options" -b base.raw -F raw image.qcow2 8M
		;;
	*) qemu-img create -q -f qcow2 -o "$options" image.qcow2 8M ;;
	esac
	io "write -P 1 64k 200k" "write -P 2 3M 1M"
	[[ $1 == v2 ]] || io "write -z 3500k 100k"
	case $1 in
	zstd | compressed) io "write -c -P 4 5M 2M" ;;
	dirty) ! io "write -P 5 6M 100k" flush abort 2>/dev/null ;;
	bitmaps)
		qemu-img bitmap --add --enable image.qcow2 on
		qemu-img bitmap --add --disable image.qcow2 off
		;;
	snapshots)
		qemu-img snapshot -c one image.qcow2
		io "write -P 6 100k 1M"
		qemu-img snapshot -c two image.qcow2
		io "write -P 7 3M 300k"
		;;
	esac
}

tool() { # ARGUMENT...
	"$QCOWTOOL" "$@" 2>said >out
}

same_json() { # JQ-FILTER OURS THEIRS
	diff <(jq -S "$1" <<<"$2") <(jq -S "$1" <<<"$3") >difference
}

# --- one function a command: it runs it, and is false if QEMU sees anything else -----------------

try_info() {
	tool info --output=json image.qcow2 || return 2
	same_json . "$(<out)" "$(qemu-img info -U --output=json image.qcow2)"
}

try_map() {
	tool map --output=json image.qcow2 || return 2
	local how
	opened_by_qemu
	same_json "map(del(.compressed))" "$(<out)" "$(qemu-img map -U --output=json "${how[@]}")"
}

try_read() {
	tool read -o ours.raw image.qcow2 || return 2
	[[ "$(sha256sum <ours.raw)" == "$(guest)" ]]
}

try_check() {
	local ours=0 theirs=0 report
	local how
	opened_by_qemu
	report=$(qemu-img check -U --output=json "${how[@]}" 2>/dev/null) || theirs=$?
	tool check --output=json image.qcow2 || ours=$?
	[[ $ours != 1 ]] || return 2
	[[ $ours == "$theirs" ]] &&
		same_json "[.corruptions, .leaks, .\"allocated-clusters\"]" "$(<out)" "$report"
}

try_create() {
	local filter='del(."actual-size", .filename, ."format-specific".data.encrypt)'
	case $kind in
	qcow1) return 3 ;;
	snapshots | bitmaps | dirty | compressed) set -- "$(options_of v3 "$shape")" ;;
	*) set -- "$(options_of "$kind" "$shape")" ;;
	esac
	rm -f ./*.raw
	tool create -q -o "$1" ours.qcow2 8M || return 2
	qemu-img create -q -f qcow2 -o "${1/data.raw/theirs.raw}" theirs.qcow2 8M
	same_json "$filter | del(.\"format-specific\".data.\"data-file\")" \
		"$(qemu-img info --output=json ours.qcow2)" \
		"$(qemu-img info --output=json theirs.qcow2)" &&
		qemu-img check -q ours.qcow2
}

try_write() {
	local expected
	cp -r . ../theirs
	(cd ../theirs && io "write -P 8 100k 70k" "write -P 9 3M 5" "write -z 4000k 300k" \
		"discard 7M 1M")
	expected=$(cd ../theirs && guest)
	rm -rf ../theirs
	tool write image.qcow2 --at=100k --fill=8:70k --at=3M --fill=9:5 --at=4000k --zero=300k \
		--at=7M --discard=1M || return 2
	[[ $(guest) == "$expected" ]] && sound &&
		{ [[ $kind != data-file-raw ]] || cmp -s guest.raw data.raw; }
}

try_write_c() {
	local expected
	cp -r . ../theirs
	(cd ../theirs && io "write -P 8 2M 2M")
	expected=$(cd ../theirs && guest)
	rm -rf ../theirs
	tool write -c image.qcow2 --at=2M --fill=8:2M || return 2
	[[ $(guest) == "$expected" ]] && sound
}

try_snapshot_cow() {
	local before
	before=$(guest)
	tool snapshot-cow create image.qcow2 mine || return 2
	io "write -P 11 0 2M" || return 1
	if [[ $kind != bitmaps ]]; then
		tool snapshot-cow apply image.qcow2 mine || return 1
		[[ $(guest) == "$before" ]] || return 1
	fi
	tool snapshot-cow delete image.qcow2 mine && sound
}

try_rebase() {
	local before
	before=$(guest)
	qemu-img create -q -f raw other.raw 8M
	qemu-io -f raw -c "write -P 12 2M 2M" other.raw >/dev/null
	tool rebase -b other.raw -F raw image.qcow2 || return 2
	[[ $(guest) == "$before" ]] && sound &&
		tool rebase -b "" image.qcow2 && [[ $(guest) == "$before" ]] && sound
}

try_decompress() {
	local before
	before=$(guest)
	tool decompress image.qcow2 || return 2
	[[ $(guest) == "$before" ]] && sound &&
		qemu-img check --output=json image.qcow2 | jq -e '."compressed-clusters" == null' \
			>difference
}

try_check_r() {
	tool check -r all image.qcow2 || { [[ $? == 1 ]] && return 2; }
	sound
}

try_hash() {
	tool hash -q image.qcow2 || return 2
	tool hash --output=json image.qcow2 || return 1
	local ours
	ours=$(jq -r .hash out)
	local how
	opened_by_qemu
	qemu-img convert -U -O qcow2 "${how[@]}" copy.qcow2
	tool hash --output=json copy.qcow2 && [[ $ours == "$(jq -r .hash out)" ]]
}

try_compare() {
	[[ $kind == qcow1 ]] || guest >/dev/null
	tool compare -F raw image.qcow2 guest.raw || return 2
}

try_recover() {
	tool recover image.qcow2 || return 2
}

# --- cells --------------------------------------------------------------------------------------

letter_of_refusal() {
	local line one
	line=$(<said)
	for one in "${refusals[@]}"; do
		if [[ $line == *"${one#*:}"* ]]; then
			echo "${one%%:*}"
			return
		fi
	done
	echo "WRONG: $line"
}

# "yes", a letter, "-" where there is nothing to try, or WRONG and why.
cell() { # COMMAND
	local status=0 before
	rm -rf cell && cp -r made cell && cd cell || return
	before=$(sha256sum image.qcow2)
	"try_${1//-/_}" 2>>difference || status=$?
	case $status in
	0) echo yes ;;
	2)
		if [[ $before == "$(sha256sum image.qcow2)" ]]; then
			letter_of_refusal
		else
			echo "WRONG: refused, and changed"
		fi
		;;
	3) echo "-" ;;
	*) echo "WRONG: $kind $shape: $(cat said difference 2>/dev/null | head -n 3)" ;;
	esac
	cd ..
}

# The row of one kind, which must be the same for all its shapes.
row() { # KIND
	local kind=$1 shape command line first=
	for shape in $(shapes "$kind"); do
		rm -rf made && mkdir made && cd made && make_image "$kind" "$shape" && cd .. || return
		line="| $(kind_text "$kind") |"
		for command in "${commands[@]}"; do
			line+=" $(cell "$command") |"
		done
		[[ -z $first || $line == "$first" ]] || line="WRONG: $shape differs: $line"
		[[ $line != *WRONG* ]] || { echo "$line" >&2; return 1; }
		first=$line
	done
	echo "$line"
}

table() {
	local one command
	printf '| image |'
	for command in "${commands[@]}"; do
		printf ' %s |' "${command/-c/ -c}" | sed 's/snapshot -cow/snapshot-cow/; s/check-r/check -r/'
	done
	printf '\n|---|'
	printf -- '---|%.0s' "${commands[@]}"
	printf '\n'
	for one in "${kinds[@]}"; do
		row "$one"
	done
	printf '\n'
	for one in "${refusals[@]}"; do
		printf -- '- %s: %s\n' "${one%%:*}" "${one#*:}"
	done
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
	set -euo pipefail
	BATS_TEST_TMPDIR=$(mktemp -d)
	# shellcheck source=tests/support/cli.bash
	source "$(dirname "$0")/../../support/cli.bash" 2>/dev/null || true
	QCOWTOOL=$(realpath "$QCOWTOOL")
	cd "$BATS_TEST_TMPDIR"
	table
	rm -rf "$BATS_TEST_TMPDIR"
fi
