# SPDX-License-Identifier: MIT
"""QEMU's programs, as functions: what they say of image.qcow2 in the present folder is the truth."""
import json
import os
import struct
import subprocess

IMAGE = "image.qcow2"
SECRET = ["--object", "secret,id=key,data=secret"]


class Disagreement(Exception):
    """QEMU's programs see something else."""


def run(*command):
    """The status, stdout and stderr of a program."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def must(*command):
    """The stdout of a program that has to succeed."""
    status, output, errors = run(*command)
    if status:
        raise Disagreement(f"{' '.join(command)}: {errors.strip() or output.decode().strip()}")
    return output


def opened(name=IMAGE, encrypted=False):
    """The words that name an image to QEMU's programs."""
    if not encrypted:
        return ["--image-opts", f"driver=qcow2,file.filename={name}"]
    return [*SECRET, "--image-opts", f"driver=qcow2,file.filename={name},encrypt.key-secret=key"]


def edit(*commands, name=IMAGE, encrypted=False, dies=False):
    """Runs commands of qemu-io in one process."""
    words = [word for command in commands for word in ("-c", command)]
    status, output, errors = run("qemu-io", *words, *opened(name, encrypted))
    failed = b"failed" in output or b"rror" in output or status
    if bool(failed) != dies:
        raise Disagreement(f"qemu-io {commands}: {output.decode()} {errors}")


def guest(name=IMAGE, encrypted=False):
    """The bytes of the disk; guest.raw has them too."""
    if os.path.exists("guest.raw"):
        os.unlink("guest.raw")
    must("qemu-img", "convert", "-U", "-O", "raw", *opened(name, encrypted), "guest.raw")
    with open("guest.raw", "rb") as file:
        return file.read()


def info(name=IMAGE):
    return json.loads(must("qemu-img", "info", "-U", "--output=json", name))


def disk_map(name=IMAGE, encrypted=False):
    return json.loads(must("qemu-img", "map", "-U", "--output=json", *opened(name, encrypted)))


def check(name=IMAGE, encrypted=False):
    """The status, and the report or None."""
    status, output, _ = run("qemu-img", "check", "-U", "--output=json", *opened(name, encrypted))
    return status, json.loads(output) if output.strip() else None


def is_sound(name=IMAGE, encrypted=False, but_leaks=False):
    status, report = check(name, encrypted)
    if status not in ((0, 3) if but_leaks else (0,)):
        raise Disagreement(f"not sound: {report}")


def same(what, ours, theirs):
    """Both are the same, or else it is said where they part."""
    if ours == theirs:
        return
    if isinstance(ours, bytes):
        length = min(len(ours), len(theirs))
        at = next((i for i in range(0, length, 512) if ours[i:i + 512] != theirs[i:i + 512]), length)
        raise Disagreement(f"{what}: {len(ours)} and {len(theirs)} bytes, first different at {at:#x}")
    raise Disagreement(f"{what}: {ours} and {theirs}")


def bitmaps(name=IMAGE):
    """What each dirty bitmap marks: {name: (flags, bytes of the map)}; it is read from the file."""
    with open(name, "rb") as file:
        data = file.read()
    found, at = {}, struct.unpack_from(">I", data, 100)[0]
    cluster = 1 << struct.unpack_from(">I", data, 20)[0]
    while (kind := struct.unpack_from(">I", data, at)[0]) != 0x23852875:
        if kind == 0:
            return found
        at += 8 + (struct.unpack_from(">I", data, at + 4)[0] + 7) // 8 * 8
    count, _, _, entry = struct.unpack_from(">IIQQ", data, at + 8)
    for _ in range(count):
        table, size, flags, _, _, name_size, extra = struct.unpack_from(">QIIBBHI", data, entry)
        title = data[entry + 24 + extra:][:name_size].decode()
        marks = b""
        for word in struct.unpack_from(f">{size}Q", data, table):
            place = word & 0x00fffffffffffe00
            marks += data[place:place + cluster] if place else bytes([255 * (word & 1)]) * cluster
        found[title] = flags, marks
        entry += (24 + extra + name_size + 7) // 8 * 8
    return found
