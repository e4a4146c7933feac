# SPDX-License-Identifier: MIT
"""One function a command: it runs the command on image.qcow2 in the present folder and compares the
outcome with QEMU's programs. It raises Refused if the command says no, Disagreement if QEMU sees
something else, and returns False where there is nothing to try."""
import json
import os
import struct

import kinds
import referee
from referee import IMAGE, Disagreement, same

QCOWTOOL = os.environ["QCOWTOOL"]
INTERRUPTED = os.path.join(os.path.dirname(QCOWTOOL), "../tests/interrupted")
READERS = ("info", "map", "read", "check", "hash", "compare")


class Refused(Exception):
    """The line in which the command said no."""


def contents():
    """All files of the present folder."""
    found = {}
    for name in os.listdir("."):
        with open(name, "rb") as file:
            found[name] = file.read()
    return found


def tool(*arguments, statuses=(0,)):
    """The stdout of qcowtool. Nothing has changed if it refuses, or if it only reads."""
    before = contents()
    status, output, errors = referee.run(QCOWTOOL, *arguments)
    lines = errors.splitlines()
    rebuilt = bool(lines) and "refcounts are rebuilt" in lines[0]  # which is no refusal
    only_reads = arguments[0] in READERS and "-r" not in arguments
    if (status not in statuses or only_reads) and not rebuilt:
        after = contents()
        for name, data in before.items():
            if after.get(name) != data and name != "ours.raw":
                raise Disagreement(f"{arguments}: {name} has changed")
    if status in statuses:
        return output
    if status in ((2,) if arguments[0] == "compare" else (1, 64)) and len(lines) == 1 + rebuilt:
        raise Refused(lines[-1])
    raise Disagreement(f"status {status}: {arguments}: {errors}")


def patches(words):
    """at/fill/... pairs as options of qcowtool write."""
    return [f"--{word}={value}" for word, value in words]


def sound(shape):
    referee.is_sound(encrypted=shape.encrypted, but_leaks=shape.leaks)


def guest(shape):
    return referee.guest(encrypted=shape.encrypted)


def same_guest(shape, expected):
    same("guest", guest(shape), expected)


# --- commands that only read --------------------------------------------------------------------

def try_info(*_):
    same("info", json.loads(tool("info", "--output=json", IMAGE)), referee.info())


def try_map(shape, _):
    ours = json.loads(tool("map", "--output=json", IMAGE))
    for extent in ours:
        del extent["compressed"]  # newer than QEMU 7.2
    same("map", ours, referee.disk_map(encrypted=shape.encrypted))


def try_read(shape, before):
    tool("read", "-o", "ours.raw", IMAGE)
    with open("ours.raw", "rb") as file:
        same("guest", file.read(), before)


def same_check(shape):
    """The status; everything that qemu-img reports is the same."""
    output = tool("check", "--output=json", IMAGE, statuses=(0, 2, 3))
    their_status, theirs = referee.check(encrypted=shape.encrypted)
    ours = {key: value for key, value in json.loads(output).items() if key in theirs}
    theirs["filename"] = IMAGE
    same("check", ours, theirs)
    same("check once more", tool("check", "--output=json", IMAGE, statuses=(their_status,)), output)
    return their_status


def try_check(shape, _):
    same_check(shape)


def try_hash(shape, before):
    ours = json.loads(tool("hash", "--output=json", IMAGE))["hash"]
    with open("guest.raw", "wb") as file:
        file.write(before)
    referee.must("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "guest.raw", "copy.qcow2")
    same("hash", ours, json.loads(tool("hash", "--output=json", "copy.qcow2"))["hash"])


def try_compare(shape, before):
    if shape.kind == "qcow1":
        tool("compare", IMAGE, IMAGE)
    with open("guest.raw", "w+b") as file:
        file.write(before)
        file.flush()
        tool("compare", "-F", "raw", IMAGE, "guest.raw")
        file.seek(30 * shape.unit)
        file.write(bytes([before[30 * shape.unit] ^ 1]))
    tool("compare", "-F", "raw", IMAGE, "guest.raw", statuses=(1,))


# --- commands that change an image --------------------------------------------------------------

def same_as_theirs(shape, words, commands):
    """`write` with these words ends like those commands of qemu-io on a copy."""
    kinds.copy(".", "../theirs")
    tool("write", *words, IMAGE)
    sound(shape)
    ours, marks = guest(shape), referee.bitmaps() if shape.kind == "bitmaps" else None
    os.chdir("../theirs")
    try:
        referee.edit(*commands, encrypted=shape.encrypted)
        same("guest", ours, guest(shape))
        if marks is not None:
            same("bitmaps", marks, referee.bitmaps())
    finally:
        os.chdir("../cell")
    if shape.kind == "data-file-raw":
        with open("data.raw", "rb") as file:
            same("the raw file", file.read()[:len(ours)], ours)


def try_write(shape, _):
    unit = shape.unit
    words = [("at", 10 * unit - 1024), ("fill", f"8:{3 * unit + 700}"),
             ("at", 24 * unit + 7), ("fill", "9:5"),
             ("at", 30 * unit + 512), ("zero", 5 * unit)]
    commands = [f"write -P 8 {10 * unit - 1024} {3 * unit + 700}", f"write -P 9 {24 * unit + 7} 5",
                f"write -z {30 * unit + 512} {5 * unit}"]
    if shape.kind != "v2-backing" and 8 * unit % shape.cluster == 0:  # else QEMU leaves what was there
        words += [("at", 56 * unit), ("discard", 8 * unit), ("at", 0), ("discard", 8 * unit)]
        commands += [f"discard {56 * unit} {8 * unit}", f"discard 0 {8 * unit}"]
    same_as_theirs(shape, patches(words), commands)


def try_write_c(shape, _):
    unit = shape.unit
    same_as_theirs(shape, ["-c", *patches([("at", 16 * unit), ("fill", f"8:{24 * unit}")])],
                   [f"write -P 8 {16 * unit} {24 * unit}"])


def try_write_grow(shape, _):
    unit = shape.unit
    same_as_theirs(shape, ["--grow", *patches([("at", 70 * unit), ("fill", f"8:{unit}")])],
                   [f"truncate {71 * unit}", f"write -P 8 {70 * unit} {unit}"])


def try_snapshot_cow(shape, before):
    tool("snapshot-cow", "create", IMAGE, "mine")
    tool("snapshot-cow", "rename", IMAGE, "mine", "ours")
    same("snapshots", json.loads(tool("snapshot-cow", "list", "--output=json", IMAGE)),
         referee.info()["snapshots"])
    referee.edit(f"write -P 11 0 {16 * shape.unit}", encrypted=shape.encrypted)
    tool("snapshot-cow", "delete", IMAGE, "ours")
    sound(shape)
    same_guest(shape, b"\x0b" * 16 * shape.unit + before[16 * shape.unit:])


def try_snapshot_apply(shape, before):
    """... of a snapshot that is there, or else of one that QEMU takes."""
    name = "two" if shape.kind.endswith("snapshots") else "taken"
    if name == "two":
        referee.must("qemu-img", "convert", "-l", "snapshot.name=two", "-O", "raw", IMAGE, "at.raw")
        with open("at.raw", "rb") as file:
            before = file.read()
    elif shape.kind != "qcow1":
        if referee.run("qemu-img", "snapshot", "-c", name, *referee.opened(IMAGE, shape.encrypted))[0]:
            return False  # a data file, or refcounts that are too narrow
        referee.edit(f"write -P 11 0 {16 * shape.unit}", encrypted=shape.encrypted)
    tool("snapshot-cow", "apply", IMAGE, name)
    sound(shape)
    same_guest(shape, before)
    return True


def try_rebase(shape, before):
    with open("other.raw", "wb") as file:
        file.truncate(shape.disk)
        file.seek(8 * shape.unit)
        file.write(b"\x0c" * 16 * shape.unit)
    tool("rebase", "-b", "other.raw", "-F", "raw", IMAGE)
    same("based", referee.info()["backing-filename"], "other.raw")
    same_guest(shape, before)
    sound(shape)
    tool("rebase", "-b", "", IMAGE)
    same("standing alone", referee.info().get("backing-filename"), None)
    same_guest(shape, before)
    sound(shape)


def try_decompress(shape, before):
    tool("decompress", IMAGE)
    same_guest(shape, before)
    sound(shape)
    same("compressed", referee.check(encrypted=shape.encrypted)[1].get("compressed-clusters", 0), 0)


def damage(shape):
    """Takes COPIED from the first L2 table, which QEMU calls a corruption and repairs."""
    with open(IMAGE, "r+b") as file:
        file.seek(0x24)
        entries, table = struct.unpack(">IQ", file.read(12))
        file.seek(table)
        for at in range(entries):
            entry = struct.unpack(">Q", file.read(8))[0]
            if entry:
                file.seek(table + 8 * at)
                file.write(struct.pack(">Q", entry ^ 1 << 63))
                return
    raise Disagreement(f"{shape} has no L2 table")


def try_check_r(shape, before):
    if shape.kind == "qcow1":
        tool("check", "-r", "all", IMAGE)
    damage(shape)
    if same_check(shape) != 2:
        raise Disagreement("the damage is none")
    tool("check", "-r", "all", IMAGE)
    same_guest(shape, before)
    sound(shape)


def try_recover(shape, before):
    """The two states that a crash can leave, where the program that makes them can write at all."""
    if shape.kind == "qcow1":
        tool("recover", IMAGE)
    if not shape.can_be_interrupted:
        tool("recover", IMAGE)
        same_guest(shape, before)
        return
    new = bytearray(before)
    new[:64 << 10] = b"\x5a" * (64 << 10)
    new[256 << 10:320 << 10] = bytes(64 << 10)
    for state, expected in (("before", before), ("after", bytes(new))):
        kinds.copy("../made", ".")
        referee.must(INTERRUPTED, IMAGE, state)
        same(f"stopped {state}", guest(shape), expected)
        tool("recover", IMAGE)
        same(f"recovered {state}", guest(shape), expected)
        sound(shape)


def try_create(shape, _):
    """The same options make the same image."""
    if shape.kind == "qcow1":
        return False
    options = shape.options
    base = ["-b", "base.raw", "-F", "raw"] if shape.kind.endswith("backing") else []
    if shape.has_data_file:
        os.unlink("data.raw")
    tool("create", "-q", "-o", options, *base, "ours.qcow2", str(shape.disk))
    referee.must("qemu-img", "create", "-q", "-f", "qcow2", "-o",
                 options.replace("data.raw", "theirs.raw"), *base, "theirs.qcow2", str(shape.disk))
    both = []
    for name in ("ours.qcow2", "theirs.qcow2"):
        facts = referee.info(name)
        for key in ("actual-size", "filename", "full-backing-filename"):
            facts.pop(key, None)
        facts["format-specific"]["data"].pop("data-file", None)
        both.append(facts)
    same("info", *both)
    referee.edit(f"write -P 3 {3 * shape.unit} {9 * shape.unit}", name="ours.qcow2")
    referee.is_sound("ours.qcow2")
    return True


COMMANDS = {
    "info": try_info, "map": try_map, "read": try_read, "check": try_check, "hash": try_hash,
    "compare": try_compare, "create": try_create, "write": try_write, "write -c": try_write_c,
    "write --grow": try_write_grow, "snapshot-cow": try_snapshot_cow,
    "snapshot-cow apply": try_snapshot_apply, "rebase": try_rebase,
    "decompress": try_decompress, "check -r": try_check_r, "recover": try_recover,
}
