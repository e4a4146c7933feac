#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Repairs damaged images with QEMU and with qcowtool, and compares what came of it.

usage: repairs.py QCOWTOOL FIRST LAST SOURCE...      works in the current folder

For each seed: where QEMU's repair comes to nothing wrong, ours must as well, in QEMU's own eyes;
what a guest could read it can still read; nothing is worse than it was; the exit status says what
qemu-img would say of the result. Prints one line a failure, and a summary.
"""
import json
import os
import subprocess
import sys

import damage
import guest


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def qemu(image, *repair):
    status, out, _ = run("qemu-img", "check", "-f", "qcow2", "--output=json", *repair, image)
    return status, json.loads(out) if out else None


def read(name):
    """The file, cut at a length that none of the sources has: a repair may have made it endless."""
    with open(name, "rb") as file:
        return file.read(512 << 20)


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)


def wrong(result):
    return result.get("corruptions", 0) + result.get("check-errors", 0)


def keeps_all(before, after):
    """QEMU 7.2 drops all snapshots when it has an autoclear bit to clear before it repairs."""
    return (before[0x3C:0x40] == after[0x3C:0x40]
            and not guest.lost(guest.readable(before), guest.readable(after)))


def compare(tool, mode, data):
    """What is wrong with our repair, or None; and whether both came to nothing wrong."""
    write("theirs", data)
    write("ours", data)
    qemu("theirs", "-r", mode)
    their_status, _ = qemu("theirs")
    before_status, before = qemu("ours")
    status, out, errors = run(tool, "check", "-r", mode, "--output=json", "ours")
    if status not in (0, 1, 2, 3) or "runtime error" in errors or "Sanitizer" in errors:
        return f"status {status}: {errors[-300:]}", False
    after_status, after = qemu("ours")
    loss = guest.lost(guest.readable(data), guest.readable(read("ours")))
    if loss:
        return loss, False
    if their_status == 0 and after_status != 0 and keeps_all(data, read("theirs")):
        return f"qemu-img repairs it, we leave status {after_status} ({status}): " + errors[-200:], False
    refused = status == 1 and "the snapshot table lies on the header" in errors and read("ours") == data
    if status != after_status and status != 2 and not refused:
        return f"we say {status}, qemu-img {after_status}: {errors[-200:]}", False
    if before and (after is None or wrong(after) > wrong(before)):
        return f"worse: {before} became {after}", False
    if status == 0 and read("ours") != data and not json.loads(out)["findings"]:
        return "changed without a finding", False
    return None, after_status == 0


def main():
    tool, first, last, *sources = sys.argv[1:]
    failures = clean = 0
    for seed in range(int(first), int(last) + 1):
        data, what = damage.damaged(seed, read(sources[seed % len(sources)]))
        mode = "leaks" if seed % 4 == 3 else "all"
        failure, mended = compare(tool, mode, data)
        clean += mended
        if failure:
            failures += 1
            write(f"failed-{seed}", data)
            print(f"seed {seed} ({sources[seed % len(sources)]}, -r {mode}; {what}): {failure}")
    for name in ("ours", "theirs"):
        os.unlink(name)
    print(f"{int(last) - int(first) + 1} images, {clean} clean now, {failures} failures")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
