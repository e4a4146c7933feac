# SPDX-License-Identifier: MIT
"""Broken images that open all the same: what can be read of them, and what a check counts."""
import struct

import referee
from odd_table import DISK, create, filled, image, qemu_img
from surgeon import ADDRESS, COPIED, Surgeon

FAR = 1 << 40  # behind the end of any file here


def entry_becomes(change, index=1, options=""):
    """Changes one L2 entry of a filled image."""
    filled(options)
    with Surgeon() as it:
        at = it.l2_entry_at(index, 2 if "extended" in options else 1)
        it.word(at, change(it.word(at)))


@image("damaged")
def L2_entry_off_its_cluster():
    entry_becomes(lambda entry: entry + 0x200)


@image("damaged")
def L2_entry_behind_the_end():
    entry_becomes(lambda entry: FAR | COPIED)


@image("damaged", but={"map, read": "reserved bits are set"})  # which QEMU does not look at
def L2_entry_with_reserved_bits():
    entry_becomes(lambda entry: entry | 0x100)


@image("damaged")
def L2_entry_to_the_header():
    entry_becomes(lambda entry: COPIED)


@image("damaged")
def L2_entry_to_the_refcount_table():
    entry_becomes(lambda entry: 0x10000 | COPIED)


@image("damaged")
def two_entries_for_one_cluster():
    filled()
    with Surgeon() as it:
        it.word(it.l2_entry_at(0), it.word(it.l2_entry_at(9)))


@image("damaged")
def zero_cluster_off_its_place():
    entry_becomes(lambda entry: entry + 0x200 | 1)


@image("damaged", but={"check": "found a zero cluster in an image of version 2"})
def zero_cluster_in_version_2():
    entry_becomes(lambda entry: entry | 1, options="compat=0.10")


@image("damaged")
def compressed_cluster_behind_the_end():
    entry_becomes(lambda entry: 1 << 62 | FAR)


@image("damaged")
def compressed_cluster_that_is_no_stream():
    create()
    referee.edit("write -c -P 1 0 128k")
    with Surgeon() as it:
        at = it.word(it.l2_entry_at(1)) & ((1 << 54) - 1)
        it.data[at:at + 20] = b"\xff" * 20


@image("damaged")
def compressed_cluster_that_claims_more_sectors():
    create()
    referee.edit("write -c -P 1 0 128k")
    with Surgeon() as it:
        it.word(it.l2_entry_at(1), it.word(it.l2_entry_at(1)) | 0x7f << 54)


@image("damaged")
def compressed_entry_that_is_COPIED():
    create()
    referee.edit("write -c -P 1 0 128k")
    with Surgeon() as it:
        it.word(it.l2_entry_at(1), it.word(it.l2_entry_at(1)) | COPIED)


@image("damaged")
def subclusters_that_are_both():
    filled("extended_l2=on")
    with Surgeon() as it:
        it.word(it.l2_entry_at(0, 2) + 8, 0xffffffff00000001)


@image("damaged")
def L1_entry_off_its_cluster():
    filled("cluster_size=4k")
    with Surgeon() as it:
        it.word(it["l1"], it.word(it["l1"]) + 0x200)


@image("damaged")
def L1_entry_behind_the_end():
    filled("cluster_size=512")
    with Surgeon() as it:
        it.word(it["l1"] + 8, FAR | COPIED)


@image("damaged", but={"map, read": "makes no sense"})
def L1_entry_with_reserved_bits():
    filled("cluster_size=4k")
    with Surgeon() as it:
        it.word(it["l1"], it.word(it["l1"]) | 0x55)


@image("damaged", but={"check": "parts of the image cannot be checked"})  # nor does QEMU
def refcount_block_off_its_cluster():
    filled("cluster_size=4k")
    with Surgeon() as it:
        it.word(it["refcount_table"], it.word(it["refcount_table"]) + 0x200)


@image("damaged")
def refcount_block_behind_the_end():
    filled("cluster_size=4k")
    with Surgeon() as it:
        it.word(it["refcount_table"], FAR)


@image("damaged")
def refcount_block_that_is_absent():
    filled("cluster_size=4k")
    with Surgeon() as it:
        it.word(it["refcount_table"], 0)


@image("damaged")
def refcounts_that_are_too_low_and_too_high():
    filled("cluster_size=4k")
    with Surgeon() as it:
        block = it.word(it["refcount_table"])
        struct.pack_into(">HHHH", it.data, block + 8, 0, 7, 1, 2)


@image("damaged")
def snapshot_whose_L1_table_is_behind_the_end():
    filled()
    qemu_img("snapshot", "-c", "one", referee.IMAGE)
    with Surgeon() as it:
        it.word(it["snapshot_table"], FAR)


@image("damaged")
def bitmap_whose_table_is_behind_the_end():
    filled()
    qemu_img("bitmap", "--add", referee.IMAGE, "one")
    with Surgeon() as it:
        directory = next(struct.unpack_from(">Q", data, 16)[0] for kind, data in it.extensions()
                         if kind == 0x23852875)
        it.word(directory, FAR)


@image("damaged")
def L2_table_shared_by_two_L1_entries():
    filled("cluster_size=512", DISK)
    with Surgeon() as it:
        it.word(it["l1"] + 8, it.word(it["l1"]))


@image("damaged")
def L2_table_that_is_the_L1_table():
    filled("cluster_size=4k")
    with Surgeon() as it:
        it.word(it["l1"], it["l1"] & ADDRESS | COPIED)
