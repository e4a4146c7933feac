# SPDX-License-Identifier: MIT
"""Headers that are seldom seen, and tables in places where they seldom lie."""
import os
import struct

import referee
from odd_table import DISK, IMAGES, create, filled, image, qemu_img, with_base
from surgeon import ADDRESS, COPIED, Surgeon


# --- headers ------------------------------------------------------------------------------------

@image()
def header_of_104_bytes():
    filled()
    with Surgeon() as it:
        it.put_extensions(it.extensions(), 104)


@image()
def header_with_unknown_fields():
    filled()
    with Surgeon() as it:
        it.put_extensions(it.extensions(), 160)
        it.data[112:160] = bytes(range(48))


@image()
def unknown_extensions():
    filled()
    with Surgeon() as it:
        it.put_extensions([(0x11223344, b"x" * 21), *it.extensions(), (0x55667788, b"")])


@image()
def unknown_extensions_and_small_clusters():
    filled("cluster_size=512")
    with Surgeon() as it:
        it.put_extensions([(0x11223344, b"x" * 210)])


@image()
def no_feature_names():
    filled()
    with Surgeon() as it:
        it.put_extensions([])


@image()
def unknown_compatible_bits():
    filled()
    with Surgeon() as it:
        it["compatible"] = 1 << 40 | 2


@image()
def unknown_autoclear_bits():
    filled()
    with Surgeon() as it:
        it["autoclear"] = 1 << 50


@image("refused")
def unknown_incompatible_bits():
    filled()
    with Surgeon() as it:
        it["incompatible"] = 1 << 41


@image(but={"write, write -c, write --grow, snapshot-cow, snapshot-cow apply, rebase, decompress":
            "the image is marked corrupt"})
def marked_corrupt():
    filled()
    with Surgeon() as it:
        it["incompatible"] = 2


@image("leaks")
def bitmaps_whose_autoclear_bit_is_gone():
    filled()
    qemu_img("bitmap", "--add", referee.IMAGE, "lost")
    with Surgeon() as it:
        it["autoclear"] = 0


@image("read-only")
def autoclear_bit_without_bitmaps():
    filled()
    with Surgeon() as it:
        it["autoclear"] = 1


@image()
def zstd_named_but_not_needed():
    filled("compression_type=zstd")
    qemu_img("amend", "-o", "lazy_refcounts=on", referee.IMAGE)


@image("refused")
def zstd_without_its_bit():
    filled("compression_type=zstd")
    with Surgeon() as it:
        it["incompatible"] = 0


@image("refused")
def bit_of_zstd_without_zstd():
    filled()
    with Surgeon() as it:
        it["incompatible"] = 8


def broken_header(field, value, options=""):
    def make():
        filled(options)
        with Surgeon() as it:
            it[field] = value
    return make


for _name, _field, _value in (
        ("version 4", "version", 4), ("version 0", "version", 0), ("clusters of 256", "cluster_bits", 8),
        ("clusters of 4 MiB", "cluster_bits", 22), ("clusters of 2^63", "cluster_bits", 63),
        ("refcounts of 128 bits", "refcount_order", 7), ("unknown encryption", "crypt", 3),
        ("header of 96 bytes", "header_length", 96), ("header longer than a cluster",
                                                      "header_length", (64 << 10) + 8),
        ("unaligned L1 table", "l1", 0x30200), ("L1 table too small", "l1_size", 0),
        ("L1 table too large", "l1_size", 1 << 31), ("unaligned refcount table", "refcount_table", 0x10200),
        ("no refcount table", "refcount_clusters", 0),
        ("refcount table too large", "refcount_clusters", 1 << 20),
        ("too many snapshots", "snapshots", 65537), ("disk of 2^62", "size", 1 << 62),
        ("disk of 2^64 - 1", "size", (1 << 64) - 1), ("unknown compression", "compression", 9)):
    IMAGES[_name] = broken_header(_field, _value), ("refused",), {}


@image("refused")
def unaligned_snapshot_table():
    filled()
    with Surgeon() as it:
        it["snapshots"], it["snapshot_table"] = 1, 0x30008


@image("refused")
def extension_longer_than_the_header_cluster():
    filled()
    with Surgeon() as it:
        struct.pack_into(">II", it.data, it["header_length"], 0x11223344, 0x7ffffff0)


@image("refused")
def backing_name_of_1024_bytes():
    with_base()
    with Surgeon() as it:
        it["backing_size"] = 1024


@image("refused")
def backing_name_in_another_cluster():
    with_base()
    with Surgeon() as it:
        it["backing_offset"] = 0x10000


@image("refused")
def extended_entries_in_small_clusters():
    filled("cluster_size=8k")
    with Surgeon() as it:
        it["incompatible"] = 16


# --- where tables lie ---------------------------------------------------------------------------

@image()
def tables_at_the_end():
    filled("cluster_size=4k")
    with Surgeon() as it:
        for at in range(it["l1"], it["l1"] + it["l1_size"] * 8, 8):
            entry = it.word(at)
            it.word(at, it.move(entry & ADDRESS, it.cluster) | COPIED if entry else 0)
        it["l1"] = it.move(it["l1"], it.cluster)
        block = it.append(bytes(it.cluster))
        table = it.append(bytes(it.cluster))
        old_table, old_block = it["refcount_table"], it.word(it["refcount_table"])
        it.count(old_table, 0)
        it.count(old_block, 0)
        it.data[block:block + it.cluster] = it.data[old_block:old_block + it.cluster]
        it.word(table, block)
        it["refcount_table"] = table


@image()
def L1_table_larger_than_needed():
    filled()
    with Surgeon() as it:
        old = it["l1"]
        it["l1"] = it.append(bytes(it.data[old:old + 8]) + bytes(5 * it.cluster))
        it["l1_size"] = 5 * it.cluster // 8 + 3
        it.count(old, 0)


@image()
def L1_table_after_shrinking():
    filled("cluster_size=4k")
    qemu_img("resize", "-q", referee.IMAGE, "20G")
    qemu_img("resize", "-q", "--shrink", referee.IMAGE, str(DISK))


@image()
def refcount_table_larger_than_needed():
    filled()
    with Surgeon() as it:
        old = it["refcount_table"]
        it["refcount_table"] = it.append(bytes(it.data[old:old + it.cluster]) + bytes(3 * it.cluster))
        it["refcount_clusters"] = 4
        it.count(old, 0)


@image()
def refcount_table_after_an_amend():
    filled("refcount_bits=64,cluster_size=512", 4 << 20)
    qemu_img("amend", "-o", "refcount_bits=2", referee.IMAGE)


@image()
def refcount_blocks_that_are_absent():
    create("cluster_size=512,refcount_bits=64", 4 << 20)
    referee.edit("write -P 1 0 2M", "discard 0 1M", "write -P 2 3M 64k")


@image()
def file_that_ends_inside_a_cluster():
    filled()
    referee.edit("write -P 7 900k 64k", "write -P 8 960k 512")
    size = os.path.getsize(referee.IMAGE)
    os.truncate(referee.IMAGE, size - 60000)


@image()
def file_with_a_tail_nobody_needs():
    filled()
    with open(referee.IMAGE, "ab") as file:
        file.write(b"tail" * 5001)


@image()
def zero_clusters_that_keep_their_place():
    filled()
    with Surgeon() as it:
        at = it.l2_entry_at(3)
        it.word(at, it.word(at) | 1)
        at = it.l2_entry_at(8)
        it.word(at, it.word(at) | 1)


@image()
def clusters_in_reverse_order():
    create("cluster_size=4k")
    for at in range(960, -1, -64):
        referee.edit(f"write -P {at % 251} {at}k 20k")
