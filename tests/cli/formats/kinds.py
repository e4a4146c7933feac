# SPDX-License-Identifier: MIT
"""Kinds of images, the shapes that they come in, and how QEMU makes one."""
import os
from dataclasses import dataclass

import referee

SIZES = [512 << i for i in range(13)]  # of clusters
WIDTHS = [1 << i for i in range(7)]  # of refcounts, in bits

# name: what the table calls it, options of qemu-img create
KINDS = {
    "v2": ("version 2 (compat=0.10)", "compat=0.10"),
    "v2-compressed": ("version 2, compressed", "compat=0.10"),
    "v2-snapshots": ("version 2, internal snapshots", "compat=0.10"),
    "v2-backing": ("version 2, backing file", "compat=0.10"),
    "v3": ("version 3", ""),
    "extended-l2": ("extended L2 entries", "extended_l2=on"),
    "extended-l2-backing": ("extended L2 entries, backing file", "extended_l2=on"),
    "zstd": ("compressed with zstd", "compression_type=zstd"),
    "compressed": ("compressed with zlib", ""),
    "lazy": ("lazy refcounts", "lazy_refcounts=on"),
    "dirty": ("lazy refcounts, left dirty", "lazy_refcounts=on"),
    "bitmaps": ("dirty bitmaps, enabled and disabled", ""),
    "snapshots": ("internal snapshots", ""),
    "backing": ("backing file", ""),
    "data-file": ("external data file", "data_file=data.raw"),
    "data-file-raw": ("external data file, raw", "data_file=data.raw,data_file_raw=on"),
    "luks": ("encrypted (LUKS)",
             "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10"),
    "qcow1": ("qcow version 1", ""),
}


@dataclass(frozen=True)
class Shape:
    """An image of a kind. `unit` divides the disk into 64 parts; eight of them are whole clusters."""
    kind: str
    cluster: int
    width: int
    leaks: bool = False  # as it was made

    @property
    def unit(self):
        return max(512 << 10, 8 * self.cluster) // 64

    @property
    def disk(self):
        return 64 * self.unit

    @property
    def encrypted(self):
        return self.kind == "luks"

    @property
    def has_data_file(self):
        return self.kind.startswith("data-file")

    @property
    def can_be_interrupted(self):
        """By a program that opens no other file and repairs nothing first."""
        return not (self.has_data_file or self.kind in ("dirty", "luks")
                    or self.kind.endswith("backing"))

    @property
    def options(self):
        own = KINDS[self.kind][1]
        width = "" if self.kind.startswith("v2") else f",refcount_bits={self.width}"
        return f"cluster_size={self.cluster}{width}" + ("," + own if own else "")

    def __str__(self):
        return f"{self.kind}, clusters of {self.cluster}, refcounts of {self.width}"


def sizes_and_widths(kind):
    """What there is for a kind."""
    sizes, widths = SIZES, WIDTHS
    if kind.startswith("v2"):
        widths = [16]
    if kind.startswith("extended-l2"):
        sizes = [size for size in SIZES if size >= 16 << 10]
    if kind == "snapshots":
        widths = WIDTHS[1:]  # one bit counts no second reference
    if kind == "qcow1":
        sizes, widths = [4096], [16]
    return sizes, widths


def all_shapes(kind):
    """Every cluster size with every width; LUKS takes seconds each, so it has no full product."""
    sizes, widths = sizes_and_widths(kind)
    if kind == "luks":
        return covering_shapes(kind)
    return [Shape(kind, size, width) for size in sizes for width in widths]


def covering_shapes(kind):
    """Each cluster size and each width at least once, combined differently in each kind."""
    sizes, widths = sizes_and_widths(kind)
    shift = list(KINDS).index(kind)
    return [Shape(kind, sizes[i % len(sizes)], widths[(i + shift) % len(widths)])
            for i in range(max(len(sizes), len(widths)))]


def short_shapes(kind):
    """What `./dev test` has time for."""
    shapes = covering_shapes(kind)
    return [shapes[0], shapes[7], shapes[-1]] if kind == "luks" else shapes


def make_base(shape):
    """base.raw, three quarters as long as the disk."""
    referee.must("qemu-img", "create", "-q", "-f", "raw", "base.raw", str(48 * shape.unit))
    with open("base.raw", "r+b") as file:
        file.seek(8 * shape.unit)
        file.write(b"\x09" * 32 * shape.unit)


def create(shape):
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", shape.options]
    if shape.kind.endswith("backing"):
        make_base(shape)
        command += ["-b", "base.raw", "-F", "raw"]
    if shape.encrypted:
        command += referee.SECRET
        for _ in range(30):  # qemu-img measures how fast the machine is, and sometimes that fails
            if referee.run(*command, referee.IMAGE, str(shape.disk))[0] == 0:
                return
    referee.must(*command, referee.IMAGE, str(shape.disk))


def make(shape):
    """Makes image.qcow2, and what belongs to it, in the present folder."""
    unit = shape.unit
    if shape.kind == "qcow1":
        referee.must("qemu-img", "create", "-q", "-f", "qcow", referee.IMAGE, str(shape.disk))
        return
    create(shape)
    commands = [f"write -P 1 {unit} {11 * unit}", f"write -P 2 {24 * unit} {8 * unit}"]
    if not shape.kind.startswith("v2"):
        commands.append(f"write -z {28 * unit} {unit}")
    if shape.kind.endswith("snapshots"):
        commands.append(f"write -P 3 {36 * unit} {unit}")  # stays as it is in all of them
    if shape.kind in ("zstd", "compressed", "v2-compressed"):
        commands.append(f"write -c -P 4 {40 * unit} {16 * unit}")
    referee.edit(*commands, encrypted=shape.encrypted)
    if shape.kind == "dirty":
        referee.edit(f"write -P 5 {48 * unit} {unit}", "flush", "abort", dies=True)
    elif shape.kind == "bitmaps":
        grain = str(max(512, shape.unit // 2))
        for name, state in (("on", "--enable"), ("off", "--disable")):
            referee.must("qemu-img", "bitmap", "--add", state, "-g", grain, referee.IMAGE, name)
    elif shape.kind.endswith("snapshots"):
        referee.must("qemu-img", "snapshot", "-c", "one", referee.IMAGE)
        referee.edit(f"write -P 6 {3 * unit} {12 * unit}")
        referee.must("qemu-img", "snapshot", "-c", "two", referee.IMAGE)
        referee.edit(f"write -P 7 {24 * unit} {3 * unit}")


def copy(source, target):
    """The files of one folder in another, which loses all others; holes stay holes."""
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(target):
        os.unlink(os.path.join(target, name))
    referee.must("cp", "-r", source + "/.", target)
