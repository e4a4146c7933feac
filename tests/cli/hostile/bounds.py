#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs commands on hostile images, and holds each run to the bounds that any image of 1 MiB has.

usage: bounds.py QCOWTOOL OPENS-LIBRARY FOLDER      works in the current folder

64 MiB of memory and 2 seconds of processor time; no file is opened but the one that was named; an
exit status of the command's own; and what only reads changes no byte. Prints one line a failure, and
a summary.
"""
import os
import sys
import time

IMAGE = "image.qcow2"
MEMORY_KIB_MAX = 64 << 10
SECONDS_MAX = 2
# Also waits for others that are at work on the machine.
WAITED_MAX = 60
STATUS_MAX = 4

# And whether they may write.
COMMANDS = [
    (["info", IMAGE], False),
    (["map", "--chain=none", IMAGE], False),
    (["read", "--chain=none", "--length=4k", IMAGE], False),
    (["check", IMAGE], False),
    (["check", "--deep", "-j", "2", IMAGE], False),
    (["check", "-n", "-r", "all", IMAGE], False),
    (["check", "-r", "all", IMAGE], True),
    (["check", "-r", "leaks", IMAGE], True),
    (["hash", "--chain=none", "-j", "2", IMAGE], False),
    (["compare", "--chain=none", IMAGE, IMAGE], False),
    (["decompress", "-j", "2", IMAGE], True),
    (["recover", IMAGE], True),
]


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)


def read(name):
    with open(name, "rb") as file:
        return file.read(8 << 20)


def may_open(name):
    """Its own image; the folder in which a file without a name is made; what seeds JSON's tables."""
    return name in (IMAGE, "/dev/urandom") or os.path.isdir(name)


def run(program, command, environment):
    """Exit status (negative: a signal), KiB, seconds of processor time, seconds, names opened."""
    opened = os.open("opened", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    actions = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
               (os.POSIX_SPAWN_OPEN, 2, "errors", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
               (os.POSIX_SPAWN_DUP2, opened, 9)]
    start = time.monotonic()
    child = os.posix_spawn(program, [program, *command], environment, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    waited = time.monotonic() - start
    with os.fdopen(opened, "rb") as file:
        file.seek(0)
        names = [os.fsdecode(name) for name in file.read().splitlines()]
    return (os.waitstatus_to_exitcode(status), usage.ru_maxrss, usage.ru_utime + usage.ru_stime,
            waited, names)


def judge(data, writes, status, memory_kib, seconds, waited, names):
    """What is wrong, or None."""
    if not 0 <= status <= STATUS_MAX:
        return f"status {status}: {read('errors')[-300:]}"
    if memory_kib > MEMORY_KIB_MAX:
        return f"{memory_kib} KiB of memory"
    if seconds > SECONDS_MAX or waited > WAITED_MAX:
        return f"{seconds:.3f} seconds of processor time, {waited:.3f} waited"
    others = [name for name in names if not may_open(name)]
    if others:
        return f"opens {others}"
    if IMAGE not in names:
        return "opened nothing: are calls seen at all?"
    if not writes and read(IMAGE) != data:
        return "changed the image"
    return None


def main():
    program, library, folder = sys.argv[1:]
    environment = dict(os.environ, LD_PRELOAD=library, OPENS_FD="9")
    files = sorted(os.listdir(folder))
    most_kib = most_seconds = runs = failures = 0
    for file in files:
        data = read(os.path.join(folder, file))
        write(IMAGE, data)
        for command, writes in COMMANDS:
            result = run(program, command, environment)
            failure = judge(data, writes, *result)
            runs += 1
            most_kib = max(most_kib, result[1])
            most_seconds = max(most_seconds, result[2])
            if failure:
                failures += 1
                print(f"{file}: {' '.join(command)}: {failure}")
            if writes or failure:
                write(IMAGE, data)
    print(f"{len(files)} images, {runs} runs, at most {most_kib} KiB and {most_seconds:.3f} seconds, "
          f"{failures} failures")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
