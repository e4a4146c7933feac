#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Valid images that are seldom seen, and broken ones: every command does with them what QEMU does.

usage: odd.py [NAME...]

Of a broken one that QEMU opens the same has to be said, counted and read. Of a valid image every cell of the matrix is tried. One that QEMU does not open has to be refused in one
line by every command, with nothing changed. QCOWTOOL is the program.
"""
import os
import sys
import tempfile

import cells
import kinds
import odd_damage  # noqa: F401
import odd_disks  # noqa: F401  which fill the table
import odd_headers  # noqa: F401
import odd_table
import referee


class Odd:
    """What a cell wants to know of an image."""

    def __init__(self, name, traits):
        self.kind, self.encrypted = name, "luks" in traits
        self.has_data_file, self.leaks = "data-file" in traits, "leaks" in traits
        self.is_read_only = "read-only" in traits
        facts = referee.info()
        self.disk, self.cluster = facts["virtual-size"], facts["cluster-size"]
        self.unit = self.disk // 64 // 512 * 512
        flags = facts["format-specific"]["data"]
        self.can_be_interrupted = not (flags.get("corrupt") or self.encrypted or self.has_data_file
                                       or "backing-filename" in facts or self.disk < 320 << 10)

    @property
    def commands(self):
        if self.disk > 1 << 32:
            return ["info", "map", "check"]
        if self.is_read_only:
            return [*cells.READERS, "snapshot-cow", "rebase", "decompress", "recover"]
        if self.unit and self.unit * 64 >= self.disk // 2:
            return [command for command in cells.COMMANDS if command != "create"]
        return ["info", "map", "read", "check", "small write", "decompress"]


def try_small_write(shape, _):
    """On a disk that is too small for the others."""
    if shape.disk == 0:
        return False
    cells.same_as_theirs(shape, ["--at=0", "--fill=3:1"], ["write -P 3 0 1"])
    return True


def tried(shape, command, guest):
    """What came out: "yes", "-" or the line in which it was refused."""
    kinds.copy("../made", ".")
    try:
        try_it = try_small_write if command == "small write" else cells.COMMANDS[command]
        return "-" if try_it(shape, guest) is False else "yes"
    except cells.Refused as refusal:
        return str(refusal)
    except Exception as reason:  # whatever it is, the other cells are tried
        return f"WRONG: {reason!r}"


def expected(exceptions, command):
    return next((text for names, text in exceptions.items() if command in names.split(", ")), "yes")


def try_valid(name, traits, exceptions):
    """[what is wrong]"""
    kinds.copy("../made", ".")
    shape = Odd(name, traits)
    guest = referee.guest(encrypted=shape.encrypted) if shape.disk < 1 << 32 else None
    wrong = []
    for command in shape.commands:
        said = expected(exceptions, command)
        if said is None:
            continue
        outcome = tried(shape, command, guest)
        if outcome != said and outcome != "-" and (said == "yes" or said not in outcome):
            wrong.append(f"{name}, {command}: {outcome}")
    return len(shape.commands), wrong


def try_damaged(name, exceptions):
    """[what is wrong]: the same is said, counted and read, or both fail to read."""
    kinds.copy("../made", ".")
    shape, wrong = Odd(name, ()), []
    for command in ("info", "check", "map", "read"):
        kinds.copy("../made", ".")
        try:
            guest = referee.guest()
        except referee.Disagreement:
            guest = None
        said = expected(exceptions, command)
        outcome = tried(shape, command, guest) if said else "yes"
        fails_too = command in ("read", "map") and guest is None
        if outcome != "yes" and said not in outcome and not (fails_too and "WRONG" not in outcome):
            wrong.append(f"{name}, {command}: {outcome}; QEMU {'fails' if fails_too else 'does it'}")
    return 4, wrong


def try_refused(name):
    """Every command refuses."""
    wrong, lines = [], {
        "info": ["info", referee.IMAGE], "map": ["map", referee.IMAGE], "read": ["read", referee.IMAGE],
        "hash": ["hash", referee.IMAGE], "write": ["write", "--hex=01", referee.IMAGE],
        "snapshot-cow": ["snapshot-cow", "create", referee.IMAGE, "x"],
        "rebase": ["rebase", "-b", "", referee.IMAGE], "decompress": ["decompress", referee.IMAGE]}
    for command, words in lines.items():
        kinds.copy("../made", ".")
        try:
            cells.tool(*words)
            outcome = "yes"
        except cells.Refused:
            outcome = "refused"
        except referee.Disagreement as reason:
            outcome = f"WRONG: {reason}"
        if outcome != "refused":
            wrong.append(f"{name}, {command}: {outcome}, and QEMU opens it not")
    kinds.copy("../made", ".")
    status, _, errors = referee.run(cells.QCOWTOOL, "check", "-q", referee.IMAGE)
    if status not in (1, 2, 3):
        wrong.append(f"{name}, check: status {status}: {errors}")
    return len(lines) + 1, wrong


def main():
    count, wrong = 0, []
    with tempfile.TemporaryDirectory(dir=os.environ.get("MATRIX_FOLDER")) as folder:
        for name in ("empty", "made", "cell"):
            os.mkdir(f"{folder}/{name}")
        for name, (make, traits, exceptions) in odd_table.IMAGES.items():
            if len(sys.argv) > 1 and name not in sys.argv[1:]:
                continue
            os.chdir(f"{folder}/made")
            kinds.copy("../empty", ".")
            try:
                make()
                opens = referee.run("qemu-img", "info", "-U", "-f", "qcow2", referee.IMAGE)[0] == 0
                if opens == ("refused" in traits):
                    raise referee.Disagreement("QEMU opens it" if opens else "QEMU does not open it")
                os.chdir("../cell")
                if "damaged" in traits:
                    tries, bad = try_damaged(name, exceptions)
                elif opens:
                    tries, bad = try_valid(name, traits, exceptions)
                else:
                    tries, bad = try_refused(name)
            except (referee.Disagreement, AssertionError) as reason:
                tries, bad = 1, [f"{name}: {reason}"]
            count += tries
            wrong += bad
            for line in bad:
                print(line, flush=True)
        os.chdir("/")
    print(f"{count - len(wrong)} passed, {len(wrong)} failed")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
