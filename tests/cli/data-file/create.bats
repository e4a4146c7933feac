# SPDX-License-Identifier: MIT
# create makes images with a data file as qemu-img does, or nothing at all.

load ../../support/cli

@test "what is made is what qemu-img makes" {
	for options in "" ,data_file_raw=on ,extended_l2=on ,cluster_size=512 ,preallocation=metadata \
		,preallocation=falloc ,preallocation=full,data_file_raw=on; do
		rm -f ./*
		succeeds create -o "data_file=our.raw$options" our.qcow2 5000k
		prints "$(qemu-img create -f qcow2 -o "data_file=our.raw$options" our.qcow2 5000k |
			sed 's/,* *$//')"
		rm our.*
		succeeds create -q -o "data_file=our.raw$options" our.qcow2 5000k
		qemu-img create -q -f qcow2 -o "data_file=ref.raw$options" ref.qcow2 5000k
		is_clean our.qcow2
		diff <(qemu-img map --output=json our.qcow2) <(qemu-img map --output=json ref.qcow2)
		diff <(qemu-img info our.qcow2 | grep -A20 Format | sed 's/our/ref/') \
			<(qemu-img info ref.qcow2 | grep -A20 Format)
		qemu-io -f qcow2 -c "write -P 5 1M 100k" our.qcow2 >/dev/null
		succeeds write our.qcow2 --at 2M --text x
		is_clean our.qcow2
		[[ $(stat -c %s our.raw) == 5120000 ]]
	done
}

@test "nothing is made where something is in the way" {
	echo precious >data.raw
	unchanged data.raw fails 1 create -o data_file=data.raw disk.qcow2 1M
	says "data file 'data.raw'"
	unchanged data.raw fails 1 create --force -o data_file=data.raw disk.qcow2 1M
	fails 1 create -o data_file=disk.qcow2 disk.qcow2 1M
	says "is the image itself"
	fails 1 create -o data_file=none/data.raw disk.qcow2 1M
	fails 1 create -o data_file=nbd:localhost disk.qcow2 1M
	says "not a plain file name"
	fails 1 create -o data_file_raw=on disk.qcow2 1M
	fails 1 create -o compat=0.10,data_file=new.raw disk.qcow2 1M
	qemu-img create -q -f raw base.raw 1M
	fails 1 create -b base.raw -F raw -o data_file=new.raw,data_file_raw=on disk.qcow2
	[[ ! -e disk.qcow2 && ! -e new.raw ]]
}
