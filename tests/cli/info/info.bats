# info says what qemu-img info says.

load ../../support/cli
load ../../support/matrix

same_info() { # IMAGE OPTION...
	local image=$1
	shift
	succeeds info --output=json "$@" "$image"
	diff <(jq -S . <<<"$output") <(qemu-img info --output=json "$@" "$image" | jq -S .) ||
		complain "info $* $image differs"
	succeeds info "$@" "$image"
	diff <(printf '%s\n' "$output") <(qemu-img info "$@" "$image") ||
		complain "info $* $image differs"
}

@test "keys, values and text equal qemu-img's on images of all kinds" {
	make_plain_images
	make_metadata_images
	for image in *.qcow2; do
		same_info "$image"
	done
}

@test "chains are shown one image after the other" {
	make_chains
	for image in on-raw.qcow2 cut.qcow2 sub/below.qcow2 "$PWD/sub/below.qcow2" absolute.qcow2; do
		same_info "$image"
		same_info "$image" --backing-chain
	done
}

@test "only the one file is opened" {
	qemu-img create -q -f qcow2 -u -b none.img -F raw disk.qcow2 1M
	succeeds info --output=json disk.qcow2
	json '."full-backing-filename" == "none.img"'
	fails 1 info --backing-chain disk.qcow2
	says "backing file 'none.img'"
	fails 1 info --backing-chain --chain=none disk.qcow2
}

@test "a name with a protocol is shown and never followed" {
	qemu-img create -q -f qcow2 -u -b 'json:{"driver":"file","filename":"/etc/passwd"}' -F raw d.qcow2 1M
	succeeds info --output=json d.qcow2
	json '."backing-filename" == ."full-backing-filename"'
	fails 1 info --backing-chain d.qcow2
	says "plain file name"
}

@test "control characters in names do not reach the terminal" {
	qemu-img create -q -f qcow2 -u -b $'a\e[31mb\nc' -F raw d.qcow2 1M
	succeeds info d.qcow2
	[[ $output == *"backing file: a?[31mb?c"$'\n'* ]]
	succeeds info --output=json d.qcow2
	json '."backing-filename" == "a\u001b[31mb\nc"'
	# U+009B begins what ESC [ does.
	qemu-img create -q -f qcow2 -u -b $'a\u009b31mb' -F raw d.qcow2 1M
	succeeds info d.qcow2
	[[ $output == *"backing file: a?31mb"$'\n'* ]]
	fails 1 read d.qcow2
	says "backing file 'a?31mb'"
}

@test "a loop is refused" {
	qemu-img create -q -f qcow2 a.qcow2 1M
	qemu-img create -q -f qcow2 -b a.qcow2 -F qcow2 b.qcow2
	qemu-img rebase -u -b b.qcow2 -F qcow2 a.qcow2
	fails 1 info --backing-chain a.qcow2
	says "loop"
}

@test "what is no image is one line" {
	printf 'hello' >text
	mkfifo fifo
	for file in text fifo none .; do
		fails 1 info "$file"
		says "$file: "
	done
}

@test "quiet prints nothing" {
	qemu-img create -q -f qcow2 a.qcow2 1M
	succeeds info -q a.qcow2
	prints ""
}
