#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Damages the metadata of a qcow2 image in a way that a seed decides.

usage: damage.py SEED SOURCE TARGET      prints what was changed

One to three changes, each a flipped bit, a random byte or an 8-byte word that is likely to hurt, in
one of: refcount blocks, refcount table, L1, L2, snapshot table, the fields of the header and, if there
are bitmaps, their extension, directory and tables. The
header's magic, version and the names are left alone: what they break has nothing to do with a check.
"""
import random
import struct
import sys

BITMAPS_EXTENSION = 0x23852875
HEADER_FIELDS = [(0x18, 8), (0x24, 4), (0x28, 8), (0x30, 8), (0x38, 4), (0x3C, 4), (0x40, 8),
                 (0x48, 8), (0x50, 8), (0x58, 8), (0x60, 4)]


def be(data, at, size):
    return int.from_bytes(data[at:at + size], "big")


def regions(data):
    """Name and extent of each piece of metadata that lies inside the file."""
    cluster = 1 << be(data, 0x14, 4)
    found = {"header": [], "refcount table": [], "refcount block": [], "L1": [], "L2": [],
             "snapshot table": []}
    version = be(data, 4, 4)
    for at, size in HEADER_FIELDS:
        if version == 3 or at < 0x48:
            found["header"].append((at, size))

    def add(kind, at, size):
        if 0 < at and at + 8 <= len(data):
            found[kind].append((at, min(size, len(data) - at)))

    def add_l1(at, entries):
        add("L1", at, entries * 8)
        for i in range(entries):
            add("L2", be(data, at + 8 * i, 8) & 0x00FFFFFFFFFFFE00, cluster)

    table = be(data, 0x30, 8)
    add("refcount table", table, min(be(data, 0x38, 4) * cluster, 64))
    for i in range(8):
        add("refcount block", be(data, table + 8 * i, 8), min(cluster, 512))
    add_l1(be(data, 0x28, 8), be(data, 0x24, 4))
    at = be(data, 0x40, 8)
    for _ in range(be(data, 0x3C, 4)):
        add("snapshot table", at, 12)
        add_l1(be(data, at, 8), be(data, at + 8, 4))
        at += 40 + be(data, at + 36, 4) + be(data, at + 12, 2) + be(data, at + 14, 2)
        at = (at + 7) & ~7
    found.update(bitmap_regions(data))
    return {name: extents for name, extents in found.items() if extents}


def bitmap_regions(data):
    found = {"bitmap extension": [], "bitmap directory": [], "bitmap table": []}
    if be(data, 4, 4) < 3:
        return found
    at = be(data, 0x64, 4)
    while be(data, at, 4) not in (0, BITMAPS_EXTENSION):
        at += 8 + (be(data, at + 4, 4) + 7 & ~7)
    if be(data, at, 4) == 0:
        return found
    found["bitmap extension"].append((at + 8, 24))
    entry, size = be(data, at + 24, 8), be(data, at + 16, 8)
    found["bitmap directory"].append((entry, size))
    for _ in range(be(data, at + 8, 4)):
        found["bitmap table"].append((be(data, entry, 8), be(data, entry + 8, 4) * 8))
        entry += 24 + be(data, entry + 18, 2) + be(data, entry + 20, 4) + 7 & ~7
    return found


def words(rng, data):
    """Values that a checker may trip over."""
    cluster = 1 << be(data, 0x14, 4)
    anywhere = rng.randrange(len(data) // cluster + 3) * cluster
    return [0, anywhere, anywhere | 1 << 63, anywhere | 1 << 62, anywhere | 1, anywhere + 512,
            anywhere + 513, len(data), (len(data) // cluster + 1) * cluster, 1 << 55,
            (1 << 56) - 512, 1 << 62, 1 << 63, (1 << 64) - 1, (1 << 64) - cluster,
            rng.getrandbits(64)]


def change(rng, data, found):
    kind = rng.choice(sorted(found))
    at, size = rng.choice(found[kind])
    how = rng.choice(["bit", "byte", "word"])
    if how == "word" and kind != "header":
        at += rng.randrange(max(size // 8, 1)) * 8
        data[at:at + 8] = struct.pack(">Q", rng.choice(words(rng, data)))
    elif how == "byte":
        at += rng.randrange(size)
        data[at] = rng.randrange(256)
    else:
        at += rng.randrange(size)
        data[at] ^= 1 << rng.randrange(8)
    return f"{kind} {how} at {at:#x}"


def damaged(seed, data):
    """The image after its damage, and what that was."""
    rng = random.Random(int(seed))
    data = bytearray(data)
    found = regions(data)
    done = []
    for _ in range(rng.randint(1, 3)):
        done.append(change(rng, data, found))
    return data, ", ".join(done)


def main():
    seed, source, target = sys.argv[1:]
    with open(source, "rb") as file:
        data, what = damaged(seed, file.read())
    with open(target, "wb") as file:
        file.write(data)
    print(what)


if __name__ == "__main__":
    main()
