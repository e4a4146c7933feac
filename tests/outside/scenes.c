// SPDX-License-Identifier: MIT
/* The scenes themselves: every command that changes an image. */
#include "outside/scene.h"

#define SMALL "make cluster_size=4k"
#define SNAPSHOT "make_snapshot cluster_size=4k"
#define CHAIN "make_chain cluster_size=4k"
#define EXTERNAL "make_external cluster_size=4k"
#define RAW "make_external cluster_size=4k,data_file_raw=on"
#define PENDING "break_off --at=520k --fill=0x66:16k --at=300k --text=x"
#define IO "qemu-io -f qcow2 -t writeback "

const struct scene scenes[] = {
	{
		.name = "write, allocated",
		.prepare = SMALL,
		.command = "write -q disk.qcow2 --at=6k --fill=0x77:20k",
		.rival = IO "-c 'write -q -P 0x77 6k 20k' -c flush disk.qcow2",
	},
	{
		.name = "write, old and new cluster",
		.prepare = SMALL,
		.command = "write -q disk.qcow2 --at=126k --fill=0x77:4k",
		.rival = IO "-c 'write -q -P 0x77 126k 4k' -c flush disk.qcow2",
	},
	{
		.name = "write, two places",
		.prepare = SMALL,
		.command = "write -q disk.qcow2 --at=4k --fill=0x77:4k --at=800k --fill=0x78:4k",
		.rival = IO "-c 'write -q -P 0x77 4k 4k' -c 'write -q -P 0x78 800k 4k' -c flush "
			    "disk.qcow2",
	},
	{
		.name = "write, shared with a snapshot",
		.prepare = SNAPSHOT,
		.command = "write -q disk.qcow2 --at=30k --fill=0x77:12k",
		.rival = IO "-c 'write -q -P 0x77 30k 12k' -c flush disk.qcow2",
	},
	{
		.name = "write, compressed",
		.prepare = SMALL,
		.command = "write -q -c disk.qcow2 --at=640k --fill=0x44:16k",
		.rival = IO "-c 'write -q -c -P 0x44 640k 16k' -c flush disk.qcow2",
	},
	{
		.name = "write, zeroes",
		.prepare = SMALL,
		.command = "write -q disk.qcow2 --at=8k --zero=24k",
		.rival = IO "-c 'write -q -z 8k 24k' -c flush disk.qcow2",
	},
	{
		.name = "discard",
		.prepare = SMALL,
		.command = "write -q disk.qcow2 --at=32k --discard=32k",
		.rival = IO "-d unmap -c 'discard -q 32k 32k' -c flush disk.qcow2",
	},
	{
		.name = "grow",
		.prepare = SMALL,
		.command = "write -q --grow disk.qcow2 --at=4M --text=end",
	},
	{
		.name = "write, version 2",
		.prepare = "make_snapshot cluster_size=4k,compat=0.10",
		.command = "write -q disk.qcow2 --at=6k --fill=0x77:20k --at=256k --zero=4k",
	},
	{
		.name = "write, subclusters",
		.prepare = "make_snapshot cluster_size=16k,extended_l2=on",
		.command = "write -q disk.qcow2 --at=6k --fill=0x77:20k --at=64k --zero=5k",
	},
	{
		.name = "write, 64k clusters",
		.prepare = "make_snapshot cluster_size=64k",
		.command = "write -q disk.qcow2 --at=6k --fill=0x77:200k",
	},
	{
		.name = "create",
		.prepare = "true",
		.command = "create -q disk.qcow2 1M",
		.replaces = true,
	},
	{
		.name = "create over another",
		.prepare = SMALL,
		.command = "create -q --force disk.qcow2 2M",
		.replaces = true,
	},
	{
		.name = "create over another, preallocated",
		.prepare = SMALL,
		.command =
			"create -q --force -o preallocation=full,cluster_size=4k disk.qcow2 256k",
		.replaces = true,
	},
	{
		.name = "snapshot create",
		.prepare = SNAPSHOT,
		.command = "snapshot-cow create -q disk.qcow2 two",
		.rival = "qemu-img snapshot -c two disk.qcow2",
	},
	{
		.name = "snapshot apply",
		.prepare = SNAPSHOT,
		.command = "snapshot-cow apply -q disk.qcow2 one",
		.rival = "qemu-img snapshot -a one disk.qcow2",
	},
	{
		.name = "snapshot delete",
		.prepare = SNAPSHOT,
		.command = "snapshot-cow delete -q disk.qcow2 one",
		.rival = "qemu-img snapshot -d one disk.qcow2",
	},
	{
		.name = "snapshot rename",
		.prepare = SNAPSHOT,
		.command = "snapshot-cow rename -q disk.qcow2 one other",
	},
	{
		.name = "rebase",
		.prepare = CHAIN,
		.command = "rebase -q -b two.raw -F raw disk.qcow2",
		.rival = "qemu-img rebase -q -f qcow2 -b two.raw -F raw disk.qcow2",
	},
	{
		.name = "rebase, compressed",
		.prepare = CHAIN,
		.command = "rebase -q -c -b two.raw -F raw disk.qcow2",
	},
	{
		.name = "rebase, name only",
		.prepare = CHAIN,
		.command = "rebase -q -u -b two.raw -F raw disk.qcow2",
		.rival = "qemu-img rebase -q -u -f qcow2 -b two.raw -F raw disk.qcow2",
	},
	{
		.name = "rebase, onto nothing",
		.prepare = CHAIN,
		.command = "rebase -q -b '' disk.qcow2",
		.rival = "qemu-img rebase -q -f qcow2 -b '' disk.qcow2",
	},
	{
		.name = "decompress",
		.prepare = SNAPSHOT,
		.command = "decompress -q -j1 disk.qcow2",
	},
	{
		.name = "decompress, threads",
		.prepare = SNAPSHOT,
		.command = "decompress -q -j2 disk.qcow2",
	},
	{
		.name = "decompress, batches",
		.prepare = SNAPSHOT,
		.command = "decompress -q -j1 --batch=16k disk.qcow2",
		.in_steps = true,
	},
	{
		.name = "check -r leaks",
		.prepare = SNAPSHOT "; truncate -s 2M disk.qcow2\n"
				    "for i in 300 301 310 400; do set_refcount $i '\\0\\1'; done",
		.command = "check -q -r leaks disk.qcow2",
		.rival = "qemu-img check -q -f qcow2 -r leaks disk.qcow2",
	},
	{
		.name = "check -r all",
		.prepare = SNAPSHOT "; truncate -s 2M disk.qcow2\n"
				    "for i in 300 310; do set_refcount $i '\\0\\1'; done\n"
				    "for i in 5 6 7; do set_refcount $i '\\0\\0'; done",
		.command = "check -q -r all disk.qcow2",
		.rival = "qemu-img check -q -f qcow2 -r all disk.qcow2",
	},
	{
		.name = "recover, before the commit",
		.prepare = SMALL "; \"$INTERRUPTED\" disk.qcow2 before",
		.command = "recover -q disk.qcow2",
		.in_steps = true,
	},
	{
		.name = "recover, after the commit",
		.prepare = SMALL "; \"$INTERRUPTED\" disk.qcow2 after",
		.command = "recover -q disk.qcow2",
		.in_steps = true,
	},
	{
		.name = "write, after a crash",
		.prepare = SMALL "; \"$INTERRUPTED\" disk.qcow2 after",
		.command = "write -q disk.qcow2 --at=6k --fill=0x77:20k",
		.in_steps = true,
	},
	{
		.name = "recover, torn header",
		.prepare = SMALL "; \"$INTERRUPTED\" disk.qcow2 torn-48",
		.command = "recover -q disk.qcow2",
		.in_steps = true,
	},
	{
		.name = "data file, write to empty places",
		.prepare = EXTERNAL,
		.data = "data.raw",
		.command = "write -q disk.qcow2 --at=636k --fill=0x77:20k",
	},
	{
		.name = "data file, write, allocated",
		.prepare = EXTERNAL,
		.data = "data.raw",
		.command = "write -q disk.qcow2 --at=6k --fill=0x77:20k",
	},
	{
		.name = "data file, write to both",
		.prepare = EXTERNAL,
		.data = "data.raw",
		.command = "write -q disk.qcow2 --at=126k --fill=0x77:4k --at=640k --text=here",
	},
	{
		.name = "data file, zeroes and discard",
		.prepare = EXTERNAL,
		.data = "data.raw",
		.command = "write -q disk.qcow2 --at=10k --zero=24k --at=520k --discard=20k "
			   "--at=526k --text=back",
	},
	{
		.name = "data file, subclusters",
		.prepare = "make_external cluster_size=16k,extended_l2=on",
		.data = "data.raw",
		.command = "write -q disk.qcow2 --at=6k --fill=0x77:20k --at=64k --zero=5k",
	},
	{
		.name = "data file, grow",
		.prepare = EXTERNAL,
		.data = "data.raw",
		.command = "write -q --grow disk.qcow2 --at=4M --text=end",
	},
	{
		.name = "data file, rebase",
		.prepare = "make_chain cluster_size=4k,data_file=data.raw",
		.data = "data.raw",
		.command = "rebase -q -b two.raw -F raw disk.qcow2",
	},
	{
		.name = "raw data file, write",
		.prepare = RAW,
		.data = "data.raw",
		.command = "write -q disk.qcow2 --at=126k --fill=0x77:4k --at=640k --text=here",
	},
	{
		.name = "raw data file, zeroes and discard",
		.prepare = RAW,
		.data = "data.raw",
		.command = "write -q disk.qcow2 --at=10k --zero=24k --at=520k --discard=20k "
			   "--at=526k --text=back",
	},
	{
		.name = "raw data file, grow",
		.prepare = RAW,
		.data = "data.raw",
		.command = "write -q --grow disk.qcow2 --at=1100k --text=end",
	},
	{
		.name = "data file, recover",
		.prepare = EXTERNAL "; " PENDING,
		.data = "data.raw",
		.command = "recover -q disk.qcow2",
		.in_steps = true,
	},
	{
		.name = "data file, write after a crash",
		.prepare = EXTERNAL "; " PENDING,
		.data = "data.raw",
		.command = "write -q disk.qcow2 --at=6k --fill=0x77:20k --at=526k --text=later",
		.in_steps = true,
	},
	{
		.name = "raw data file, recover",
		.prepare = RAW "; " PENDING,
		.data = "data.raw",
		.command = "recover -q disk.qcow2",
		.in_steps = true,
	},
	{
		.name = "data file, create",
		.prepare = "true",
		.data = "data.raw",
		.command = "create -q -o data_file=data.raw disk.qcow2 1M",
		.replaces = true,
	},
	{
		.name = "data file, create over another",
		.prepare = SMALL,
		.data = "data.raw",
		.command = "create -q --force -o data_file=data.raw,data_file_raw=on disk.qcow2 1M",
		.replaces = true,
	},
};
const size_t scene_count = sizeof(scenes) / sizeof(scenes[0]);
