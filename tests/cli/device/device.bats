# SPDX-License-Identifier: MIT
# Images on a block device, which neither grows nor has holes.

load ../../support/cli

# A device of that many MiB, with an image of 64 MiB that fills part of it.
setup_device() { # MEBIBYTES
	((EUID == 0)) || skip "only root sets up loop devices"
	truncate -s "$1M" backing
	device=$(losetup -f --show backing 2>/dev/null) || skip "there are no loop devices"
	qemu-img create -q -f qcow2 "$device" 64M
	qemu-io -f qcow2 -c "write -P 1 0 1M" "$device" >/dev/null
	qemu-img convert -f qcow2 -O raw "$device" model
}

teardown() {
	[[ -z ${device-} ]] || losetup -d "$device"
}

same_as_model() {
	is_clean "$device"
	qemu-img compare -q -f raw -F qcow2 model "$device"
	succeeds read "$device" -o seen
	cmp seen model
}

@test "an image on a device is edited, and no journal is left" {
	setup_device 8
	succeeds write "$device" --at 512k --text xx --at 40M --text yy --at 64k --zero 64k
	printf xx | dd of=model bs=1 seek=512k conv=notrunc status=none
	printf yy | dd of=model bs=1 seek=40M conv=notrunc status=none
	head -c 64k /dev/zero | dd of=model bs=64k seek=1 conv=notrunc status=none
	same_as_model
	succeeds recover --output=json "$device"
	json '.state == "clean"'
	[[ $(stat -c %s backing) == 8388608 ]]
}

@test "a device without room is one line, and nothing changes" {
	setup_device 2
	before=$(sha "$device")
	fails 1 write "$device" --at 1M --fill 7:4M
	says "space"
	[[ $(sha "$device") == "$before" ]]
	same_as_model
}

@test "what is discarded stays part of the device" {
	setup_device 8
	succeeds write "$device" --discard 1M
	truncate -s 0 model
	truncate -s 64M model
	same_as_model
	succeeds write "$device" --fill 1:1M
	is_clean "$device"
}

@test "a device may hold a data file" {
	setup_device 8
	qemu-img create -q -f qcow2 -o data_file=data.raw disk.qcow2 8M
	rm data.raw
	ln -s "$device" data.raw
	succeeds write disk.qcow2 --at 1M --text over --at 7M --fill 1:1M
	succeeds write disk.qcow2 --at 1M --text again
	is_clean disk.qcow2
	succeeds read disk.qcow2 --at 1M --length 5
	prints again
	fails 1 write disk.qcow2 --grow --at 9M --text x
	says "the data file is a device"
}
