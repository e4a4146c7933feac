#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a guest would read of an image's active disk and of each snapshot, cluster by cluster.

An entry that makes no sense is unreadable (None); everything else is a digest of the contents, or
the words for zeroes and for the backing file. Knows nothing of refcounts: they are no matter of
contents. It shares no code with qcowtool, and takes the file as bytes.
"""
import hashlib
import zlib

OFFSET_MASK = 0x00FFFFFFFFFFFE00
L2_RESERVED = 0x3F000000000001FE
L1_RESERVED = 0x7F000000000001FF
L1_ENTRIES_MAX = (32 << 20) // 8


def be(data, at, size):
    return int.from_bytes(data[at:at + size], "big")


class Image:
    def __init__(self, data):
        self.data = data
        self.version = be(data, 4, 4)
        self.bits = be(data, 0x14, 4)
        self.cluster = 1 << self.bits
        features = be(data, 0x48, 8) if self.version == 3 else 0
        self.extended = bool(features & 16)
        self.entry_bytes = 16 if self.extended else 8
        self.digests = {}

    def at(self, offset, size):
        piece = bytes(self.data[offset:offset + size])
        return piece + bytes(size - len(piece))

    def states(self):
        """Name, offset and length of each L1 table; snapshots are named by number and id."""
        yield "active", be(self.data, 0x28, 8), be(self.data, 0x24, 4)
        at = be(self.data, 0x40, 8)
        for number in range(min(be(self.data, 0x3C, 4), 16)):
            head = self.at(at, 40)
            yield f"snapshot {number}", be(head, 0, 8), be(head, 8, 4)
            at += 40 + be(head, 36, 4) + be(head, 12, 2) + be(head, 14, 2)
            at = (at + 7) & ~7

    def compressed(self, entry):
        x = 62 - (self.bits - 8)
        offset = entry & ((1 << x) - 1)
        sectors = ((entry & ((1 << 62) - 1)) >> x) + 1
        try:
            # A stream may end in the middle of the last sector, and the file with it.
            stream = zlib.decompressobj(-12)
            plain = stream.decompress(self.data[offset:offset + sectors * 512 - offset % 512],
                                      self.cluster)
        except zlib.error:
            return None
        return hashlib.sha1(plain).hexdigest() if len(plain) == self.cluster else None

    def content(self, entry, bitmap):
        offset = entry & OFFSET_MASK
        if entry & (1 << 62):
            return self.compressed(entry) if bitmap == 0 else None
        if entry & L2_RESERVED or (self.extended and entry & 1):
            return None
        if self.extended and (bitmap & bitmap >> 32 & 0xFFFFFFFF
                              or (offset == 0 and bitmap & 0xFFFFFFFF)):
            return None
        if offset == 0 or entry & 1:
            return f"{'zero' if entry & 1 else 'none'} {bitmap:x}"
        if offset % self.cluster:
            return None
        if offset not in self.digests:
            self.digests[offset] = hashlib.sha1(self.at(offset, self.cluster)).hexdigest()
        return f"{self.digests[offset]} {bitmap:x}"

    def table(self, l1_entry, first, contents):
        offset = l1_entry & OFFSET_MASK
        if l1_entry & L1_RESERVED or offset % self.cluster or offset == 0:
            return
        table = self.at(offset, self.cluster)
        for i in range(self.cluster // self.entry_bytes):
            entry = be(table, i * self.entry_bytes, 8)
            bitmap = be(table, i * 16 + 8, 8) if self.extended else 0
            if entry | bitmap:
                contents[first + i] = self.content(entry, bitmap)

    def contents(self, l1, entries):
        """Of the guest clusters of one state that an entry says something about."""
        contents = {}
        words = self.at(l1, min(entries, 4096) * 8)
        per_table = self.cluster // self.entry_bytes
        for i in range(len(words) // 8):
            entry = be(words, i * 8, 8)
            if entry:
                self.table(entry, i * per_table, contents)
        return contents


def readable(data):
    """{state: {guest cluster: contents}} of all that can be read; states by their number."""
    image = Image(data)
    found = {}
    for name, l1, entries in image.states():
        if l1 % image.cluster == 0 and entries <= L1_ENTRIES_MAX:
            found[name] = {at: what for at, what in image.contents(l1, entries).items()
                           if what is not None}
    return found


def lost(before, after):
    """The first thing that could be read and now differs; None if there is no such."""
    for name, contents in before.items():
        now = after.get(name, {})
        for at, what in contents.items():
            if now.get(at) != what:
                return f"{name}, guest cluster {at}: {what} became {now.get(at)}"
    return None
