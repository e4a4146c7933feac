# SPDX-License-Identifier: MIT
"""Images that are seldom seen: IMAGES maps a name to (how it is made, traits, exceptions).

A trait is "refused" (QEMU does not open it), "damaged" (it does), "read-only" (it fails to write to it),
"leaks", "luks" or "data-file". An exception names the commands, and what is expected of them instead of success: words of the line in which they refuse, or None where
QEMU cannot do it.
"""
import referee

IMAGES = {}
DISK = 1 << 20


def image(*traits, but=None):
    def add(make):
        IMAGES[make.__name__.replace("_", " ")] = make, traits, but or {}
        return make
    return add


def create(options="", size=DISK, *more):
    referee.must("qemu-img", "create", "-q", "-f", "qcow2", *(["-o", options] if options else []),
                 *more, referee.IMAGE, str(size))


def filled(options="", size=DISK, *more):
    """With data, a hole and, except in version 2, zero clusters."""
    create(options, size, *more)
    commands = [f"write -P 1 0 {size // 4}", f"write -P 2 {size // 2} {size // 8}"]
    if "0.10" not in options:
        commands.append(f"write -z {size // 16} {size // 8}")
    referee.edit(*commands)


def qemu_img(*words):
    referee.must("qemu-img", *words)


def with_base(name=b"base.raw"):
    with open(name, "wb") as file:
        file.write(b"\x09" * (DISK // 2 + 512))
    filled("", DISK, "-b", name.decode(), "-F", "raw")
