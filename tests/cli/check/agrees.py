#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what QEMU and qcowtool say of damaged images.

usage: agrees.py QCOWTOOL FIRST LAST SOURCE...      one damaged image for each seed FIRST .. LAST

The exit status has to be the same and, if QEMU prints JSON, each of its keys too. What only qcowtool
calls a corruption (docs/CHECKS-DIFFERENCES.md) may make that one number larger, in few of the images.
Prints what differs; the exit status is 1 if anything does.
"""
import json
import subprocess
import sys

import damage

OURS_ALONE = ("findings", "findings-omitted")
MEANT_MAX = 10  # of a hundred images


def check(*command):
    done = subprocess.run([*command, "check", *(["-f", "qcow2"] if "qemu" in command[0] else []),
                           "--output=json", "damaged.qcow2"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False)
    result = json.loads(done.stdout) if done.stdout.strip() else None
    return done.returncode, result


def is_stricter(ours, extended):
    """Whether one of the findings is none of QEMU's."""
    ids = {"l2-zero-in-v2", "snapshot-malformed"} | ({"l2-reserved"} if extended else set())
    # Beyond 10000 findings the rest is only counted.
    return ours is not None and ("findings-omitted" in ours
                                 or any(finding["id"] in ids for finding in ours["findings"]))


def differences(qcowtool, extended):
    """What differs, and whether it is meant to."""
    status, theirs = check("qemu-img")
    our_status, ours = check(qcowtool)
    meant = is_stricter(ours, extended)
    if meant and theirs is not None and ours.get("corruptions", 0) > theirs.get("corruptions", 0):
        theirs["corruptions"] = ours["corruptions"]
        status = 1 if status == 1 else 2  # 1: something could not be checked
    else:
        meant = False
    if status != our_status:
        return f"status {our_status}, qemu-img says {status}", meant
    if theirs is None:
        return None, meant
    ours = {key: value for key, value in ours.items() if key not in OURS_ALONE}
    return None if ours == theirs else f"{ours}, qemu-img says {theirs}", meant


def main():
    qcowtool, first, last, *sources = sys.argv[1:]
    originals = []
    for name in sources:
        with open(name, "rb") as file:
            originals.append(file.read())
    bad = stricter = 0
    seeds = range(int(first), int(last) + 1)
    for seed in seeds:
        name = sources[seed % len(sources)]
        data, what = damage.damaged(seed, originals[seed % len(sources)])
        with open("damaged.qcow2", "wb") as file:
            file.write(data)
        differs, meant = differences(qcowtool, name == "extended")
        stricter += meant
        if differs:
            bad += 1
            print(f"seed {seed}, {name}: {what}: {differs}")
    if stricter * 100 > len(seeds) * MEANT_MAX:
        print(f"{stricter} of {len(seeds)} images differ, as is meant, but that is too many")
        bad += 1
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
