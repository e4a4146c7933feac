# SPDX-License-Identifier: MIT
"""Disks, snapshots, chains, data files and bitmaps that are seldom seen."""
import os
import struct

import referee
from odd_table import DISK, IMAGES, create, filled, image, qemu_img, with_base
from surgeon import Surgeon

NO_DATA_FILE = {"write -c, decompress": "no compressed clusters in an external data file",
                "snapshot-cow": "with an external data file have no internal snapshots"}


# --- disks --------------------------------------------------------------------------------------

def disk_of(size, options):
    def make():
        create(options, size)
        if size:
            referee.edit("write -P 3 0 512", f"write -P 4 {size - 512} 512")
    return make


for _size in (0, 512, 1024, 65536, 66048, 70144, DISK + 512, 777728):
    for _text, _options in ((" of 64 KiB", ""), (" of 512", "cluster_size=512")) if _size & 512 else (
            (" of 2 MiB", "cluster_size=2M"), (" with extended entries", "extended_l2=on")):
        IMAGES[f"disk of {_size} bytes, clusters{_text}"] = disk_of(_size, _options), (), {}


@image()
def huge_disk():
    create("", 1 << 45)
    referee.edit("write -P 1 0 64k", f"write -P 2 {(1 << 45) - 65536} 64k")


@image()
def entries_past_the_end_of_the_disk():
    filled()
    referee.edit("write -P 5 768k 256k")
    with Surgeon() as it:
        it["size"] = 700 << 10


@image()
def preallocated_metadata():
    filled("preallocation=metadata")


@image()
def preallocated_with_falloc():
    filled("preallocation=falloc,cluster_size=4k")


@image()
def preallocated_in_full():
    filled("preallocation=full")


@image()
def preallocated_extended_entries():
    filled("preallocation=metadata,extended_l2=on")


# --- amended and converted ----------------------------------------------------------------------

@image()
def amended_down():
    filled()
    qemu_img("amend", "-o", "compat=0.10", referee.IMAGE)


@image()
def amended_up():
    filled("compat=0.10")
    qemu_img("amend", "-o", "compat=1.1", referee.IMAGE)


@image()
def amended_refcounts():
    filled()
    qemu_img("amend", "-o", "refcount_bits=4", referee.IMAGE)


@image()
def converted_and_compressed_with_zstd():
    filled()
    qemu_img("convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd,cluster_size=4k",
             referee.IMAGE, "packed.qcow2")
    os.rename("packed.qcow2", referee.IMAGE)


@image()
def converted_and_compressed_with_2_MiB():
    filled("", 8 << 20)
    qemu_img("convert", "-c", "-O", "qcow2", "-o", "cluster_size=2M", referee.IMAGE, "packed.qcow2")
    os.rename("packed.qcow2", referee.IMAGE)


@image()
def compressed_with_extended_entries():
    create("extended_l2=on,cluster_size=16k")
    referee.edit("write -c -P 1 0 256k", "write -P 2 20k 3k", "write -z 100k 2k", "discard 128k 64k")


@image()
def compressed_noise():
    create("cluster_size=4k")
    with open("noise", "wb") as file:
        file.write(os.urandom(3000) + bytes(1096) + b"abc" * 4000)
    referee.edit("write -c -s noise 0 4k", "write -c -s noise 64k 16k")


@image("luks", but={"read, hash, compare": "encrypted images cannot be read",
                    "write, write -c, write --grow, rebase": "its contents cannot be changed",
                    "decompress": "its clusters cannot be moved"})
def encrypted_by_LUKS():
    words = ["qemu-img", "create", "-q", "-f", "qcow2", *referee.SECRET, "-o",
             "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10", referee.IMAGE, "1M"]
    for _ in range(30):
        if referee.run(*words)[0] == 0:
            break
    referee.edit("write -P 1 0 300k", encrypted=True)


# --- snapshots ----------------------------------------------------------------------------------

def snapshots_of_other_sizes(options=""):
    filled(options)
    for name, size in (("small", 600 << 10), ("large", 3 << 20), ("end", DISK)):
        qemu_img("snapshot", "-c", name, referee.IMAGE)
        qemu_img("resize", "-q", "--shrink", referee.IMAGE, str(size))
    referee.edit("write -P 7 100k 100k")


@image()
def snapshots_of_several_sizes():
    snapshots_of_other_sizes()


@image()
def snapshots_with_other_L1_sizes():
    snapshots_of_other_sizes("cluster_size=512")


@image()
def snapshots_with_long_names():
    filled()
    for name in ("ü", "日本語のスナップショット", "x" * 200, "two words", "7"):
        qemu_img("snapshot", "-c", name, referee.IMAGE)


def rewrite_snapshots(change):
    """Each record: [head of 36 bytes, extra data, id, name]."""
    filled()
    qemu_img("snapshot", "-c", "one", referee.IMAGE)
    referee.edit("write -P 8 0 64k")
    qemu_img("snapshot", "-c", "two", referee.IMAGE)
    referee.edit("write -P 9 64k 64k")
    with Surgeon() as it:
        at, table = it["snapshot_table"], b""
        for index in range(it["snapshots"]):
            head = bytes(it.data[at:at + 40])
            id_size, name_size = struct.unpack_from(">HH", head, 12)
            extra = struct.unpack_from(">I", head, 36)[0]
            rest = bytes(it.data[at + 40:at + 40 + extra + id_size + name_size])
            at = (at + 40 + len(rest) + 7) & ~7
            parts = change(index, rest[:extra], rest[extra:][:id_size], rest[extra + id_size:])
            head = head[:12] + struct.pack(">HH", len(parts[1]), len(parts[2])) + head[16:36]
            entry = head + struct.pack(">I", len(parts[0])) + b"".join(parts)
            table += entry + bytes(-len(entry) % 8)
        it.count(it["snapshot_table"], 0)
        it["snapshot_table"] = it.append(table)


@image()
def snapshots_with_unknown_extra_data():
    rewrite_snapshots(lambda index, extra, ident, name: (extra + b"unknown!" * 9, ident, name))


@image()
def snapshots_with_ids_that_are_names():
    rewrite_snapshots(lambda index, extra, ident, name: (extra, b"id-%d-" % index * 20, name))


@image()
def snapshots_of_one_name():
    rewrite_snapshots(lambda index, extra, ident, name: (extra, ident, b"two"))


@image(but={"write --grow": "may not remember its size"})
def version_2_snapshots_without_extra_data():
    filled("compat=0.10")
    qemu_img("snapshot", "-c", "two", referee.IMAGE)
    referee.edit("write -P 8 0 64k")


@image()
def forty_snapshots_of_small_clusters():
    filled("cluster_size=512")
    for index in range(40):
        qemu_img("snapshot", "-c", f"s{index}", referee.IMAGE)
        referee.edit(f"write -P {index} {index * 9}k 5k")


# --- chains and data files ----------------------------------------------------------------------

@image()
def chain_of_five():
    below = []
    for index, (size, options) in enumerate(((900 << 10, "cluster_size=512"), (2 << 20, "compat=0.10"),
                                             (500 << 10, "cluster_size=2M"),
                                             (1200 << 10, "extended_l2=on,cluster_size=16k"))):
        create(options, size, *below)
        referee.edit(f"write -P {16 + index} {100 * index}k 150k", f"write -P 5 {size - 1024} 1k")
        os.rename(referee.IMAGE, f"{index}.qcow2")
        below = ["-b", f"{index}.qcow2", "-F", "qcow2"]
    create("cluster_size=4k", DISK, *below)
    referee.edit("write -P 3 200k 10k", "write -z 700k 50k", "discard 720k 8k")


@image()
def backing_file_without_format():
    with_base()
    with Surgeon() as it:
        it.put_extensions([pair for pair in it.extensions() if pair[0] != 0xe2792aca])


@image()
def backing_file_shorter_than_a_cluster():
    with open("base.raw", "wb") as file:
        file.write(b"\x09" * 700)
    filled("", DISK, "-b", "base.raw", "-F", "raw")


@image()
def backing_name_of_1000_bytes():
    with open("base.raw", "wb") as file:
        file.write(b"\x09" * DISK)
    filled("", DISK, "-b", "./" * 495 + "base.raw", "-F", "raw")


@image("data-file", but={**NO_DATA_FILE, "rebase": "its data file is a raw image of its own"})
def raw_data_file_that_grew():
    filled("data_file=data.raw,data_file_raw=on")
    qemu_img("resize", "-q", referee.IMAGE, "1536k")
    referee.edit("write -P 6 1300k 100k")


@image("data-file", but=NO_DATA_FILE)
def data_file_longer_than_the_disk():
    filled("data_file=data.raw")
    with open("data.raw", "ab") as file:
        file.write(b"garbage!" * 9999)


@image("data-file", but=NO_DATA_FILE)
def data_file_shorter_than_the_disk():
    create("data_file=data.raw,extended_l2=on")
    referee.edit("write -P 6 100k 10k")
    os.truncate("data.raw", 128 << 10)


# --- bitmaps ------------------------------------------------------------------------------------

def add_bitmaps(*names):
    for index, name in enumerate(names):
        qemu_img("bitmap", "--add", "--disable" if index % 2 else "--enable", "-g", str(512 << index),
                 referee.IMAGE, name)


@image(but={"snapshot-cow apply": "would no longer tell what changed"})
def several_bitmaps():
    filled()
    add_bitmaps("one", "two", "ü", "x" * 255)
    referee.edit("write -P 5 500k 30k")


@image(but={"snapshot-cow apply": "would no longer tell what changed", "write --grow": None})
def bitmaps_in_use():
    filled()
    add_bitmaps("one", "two")
    referee.edit("write -P 5 500k 30k", "flush", "abort", dies=True)
