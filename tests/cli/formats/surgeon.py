# SPDX-License-Identifier: MIT
"""Changes bytes of an image that QEMU made, so that it becomes one that QEMU would not make.

It knows just enough of the format: one refcount block with 16-bit counts has to do."""
import struct

FIELDS = {"version": (4, "I"), "backing_offset": (8, "Q"), "backing_size": (16, "I"),
          "cluster_bits": (20, "I"), "size": (24, "Q"), "crypt": (32, "I"), "l1_size": (36, "I"),
          "l1": (40, "Q"), "refcount_table": (48, "Q"), "refcount_clusters": (56, "I"),
          "snapshots": (60, "I"), "snapshot_table": (64, "Q"), "incompatible": (72, "Q"),
          "compatible": (80, "Q"), "autoclear": (88, "Q"), "refcount_order": (96, "I"),
          "header_length": (100, "I"), "compression": (104, "B")}
ADDRESS = 0x00fffffffffffe00
COPIED = 1 << 63


class Surgeon:
    """with Surgeon(name) as image: image["size"] = 5; what was changed is in the file then."""

    def __init__(self, name="image.qcow2"):
        self.name = name
        with open(name, "rb") as file:
            self.data = bytearray(file.read())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            with open(self.name, "wb") as file:
                file.write(self.data)

    def __getitem__(self, field):
        at, size = FIELDS[field]
        return struct.unpack_from(">" + size, self.data, at)[0]

    def __setitem__(self, field, value):
        at, size = FIELDS[field]
        struct.pack_into(">" + size, self.data, at, value)

    @property
    def cluster(self):
        return 1 << self["cluster_bits"]

    def word(self, at, value=None):
        if value is not None:
            struct.pack_into(">Q", self.data, at, value)
        return struct.unpack_from(">Q", self.data, at)[0]

    def count(self, host, refs):
        """Sets the refcount of the cluster at a host offset."""
        block = self.word(self["refcount_table"])
        assert host // self.cluster < self.cluster // 2, "it is in the second refcount block"
        struct.pack_into(">H", self.data, block + host // self.cluster * 2, refs)

    def append(self, content):
        """New clusters at the end of the file, which somebody has to refer to."""
        self.data += bytes(-len(self.data) % self.cluster)
        host = len(self.data)
        self.data += content + bytes(-len(content) % self.cluster)
        for at in range(host, len(self.data), self.cluster):
            self.count(at, 1)
        return host

    def move(self, host, size):
        """The same bytes elsewhere, and nothing at the old place."""
        new = self.append(bytes(self.data[host:host + size]))
        for at in range(host, host + size, self.cluster):
            self.count(at, 0)
            self.data[at:at + self.cluster] = b"\xa5" * self.cluster
        return new

    def extensions(self):
        """[(type, data)]"""
        found, at = [], self["header_length"]
        while True:
            kind, size = struct.unpack_from(">II", self.data, at)
            if kind == 0:
                return found
            found.append((kind, bytes(self.data[at + 8:at + 8 + size])))
            at += 8 + (size + 7) // 8 * 8

    def put_extensions(self, found, header_length=None):
        """Replaces them, and leaves the backing file's name behind them."""
        name = bytes(self.data[self["backing_offset"]:][:self["backing_size"]])
        header_length = header_length or self["header_length"]
        text = b"".join(struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)
                        for kind, data in found) + bytes(8)
        self["header_length"] = header_length
        rest = text + (name if self["backing_offset"] else b"")
        self.data[104:self.cluster] = (bytes(self.data[104:112]) + bytes(1 << 12))[
            :header_length - 104] + rest + bytes(self.cluster - header_length - len(rest))
        if self["backing_offset"]:
            self["backing_offset"] = header_length + len(text)

    def l2_entry_at(self, index, words=1):
        """Where the L2 entry of a guest cluster is; `words` is 2 for extended entries."""
        per_table = self.cluster // 8 // words
        table = self.word(self["l1"] + 8 * (index // per_table)) & ADDRESS
        return table + 8 * words * (index % per_table)
