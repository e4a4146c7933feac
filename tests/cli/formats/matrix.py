#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every kind of image x every command, in many shapes.

usage: matrix.py [--full] NOTES [KIND...]

Each cell is either checked against QEMU's programs or refused, with nothing changed, in one of the
lines below. --full tries every cluster size with every refcount width, and puts the table that comes
out into NOTES, between the two lines that mark its place. Without it each kind comes with each cluster
size and each width, each command with each of them too, and all must be as NOTES has it. QCOWTOOL is
the program; the images go to MATRIX_FOLDER, 200 MiB at most.
"""
import argparse
import os
import re
import sys
import tempfile

import cells
import kinds
import referee

# The lines in which something is refused: a letter for the table, and the line; N is any number,
# 'NAME' any name.
REFUSALS = {
    "a": "encrypted images cannot be read",
    "b": "the image is encrypted, and its contents cannot be changed",
    "c": "the image is encrypted, and its clusters cannot be moved",
    "d": "there is no option 'encrypt.format'",
    "e": "qcow version 1 is not supported; convert it first: qemu-img convert -f qcow -O qcow2 OLD NEW",
    "f": "cannot grow beyond N",
    "g": "there are no compressed clusters in an external data file",
    "h": "images with an external data file have no internal snapshots",
    "i": "its data file is a raw image of its own (data_file_raw), which a backing file would not"
         " show through",
    "j": "the disk cannot grow: snapshot 'NAME' may not remember its size",
    "k": "the dirty bitmap 'NAME' would no longer tell what changed; remove it first",
}
BEGIN, END = "<!-- matrix.py writes from here -->", "<!-- to here -->"


def letter_of(line):
    for letter, words in REFUSALS.items():
        pattern = re.sub(" N$", " [0-9]+", re.escape(words).replace("\\ ", " "))
        if re.search(pattern.replace("'NAME'", "'.*'"), line):
            return letter
    raise referee.Disagreement(f"refused in a line of no letter: {line}")


def make(shape):
    """Makes an image in ../made, and returns what the guest sees."""
    kinds.copy("../empty", "../made")
    os.chdir("../made")
    kinds.make(shape)
    os.chdir("../cell")
    kinds.copy("../made", ".")
    return None if shape.kind == "qcow1" else referee.guest(encrypted=shape.encrypted)


def cell(shape, command, guest):
    """What comes out for one image and one command: "yes", a letter or "-"."""
    if command not in cells.READERS[1:]:
        kinds.copy("../made", ".")
    try:
        outcome = cells.COMMANDS[command](shape, guest)
        return "-" if outcome is False else "yes"
    except cells.Refused as refusal:
        return letter_of(str(refusal))


def commands_for(index, full):
    """All, or the half of those that change an image that is this one's turn."""
    writers = [command for command in cells.COMMANDS if command not in cells.READERS]
    return [*cells.READERS, *(writers if full else writers[index % 2::2])]


def results_of(kind, full):
    """(shape, command, outcome) of all that is tried."""
    for index, shape in enumerate(kinds.all_shapes(kind) if full else kinds.short_shapes(kind)):
        guest = make(shape)
        for command in commands_for(index, full):
            try:
                yield shape, command, cell(shape, command, guest)
            except Exception as reason:  # whatever it is, the other cells are tried
                yield shape, command, f"WRONG: {reason!r}"


def described(outcomes):
    """The text of a cell from {width: {outcome, ...}}, which may depend on the width."""
    of_width = {width: " or ".join(sorted(some, key=len, reverse=True))
                for width, some in outcomes.items()}
    common = of_width[max(of_width)]
    return "; ".join([common, *(f"{width} bit: {of_width[width]}" for width in sorted(of_width)
                                if of_width[width] != common)])


def stated(text, width):
    """What a cell of the table allows for that width."""
    common, *others = text.split("; ")
    return dict(other.split(" bit: ") for other in others).get(str(width), common).split(" or ")


def table_in(path):
    """{(image, command): text} of the table in the notes."""
    found, heads = {}, None
    with open(path, encoding="utf-8") as file:
        for line in file.read().split(BEGIN)[1].split(END)[0].splitlines():
            words = line.strip("|").split(" | ")
            if line.startswith("| image"):
                heads = [word.strip() for word in words[1:]]
            elif line.startswith("| "):
                title, *texts = (word.strip() for word in words)
                found.update(((title, head), text) for head, text in zip(heads, texts))
    return found


def lines_of(table):
    """The table as text, in the order of the kinds."""
    titles = [title for title, _ in kinds.KINDS.values()]
    lines = [f"| image | {' | '.join(cells.COMMANDS)} |", "|---|" + "---|" * len(cells.COMMANDS)]
    for title in titles:
        if (title, "info") in table:
            texts = [table[title, command] for command in cells.COMMANDS]
            lines.append(f"| {title} | {' | '.join(texts)} |")
    return lines + ["", *(f"- {letter}: {words}" for letter, words in REFUSALS.items())]


def put_into(path, lines):
    with open(path, encoding="utf-8") as file:
        head, rest = file.read().split(BEGIN + "\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write(head + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("notes")
    parser.add_argument("kind", nargs="*")
    options = parser.parse_args()
    for kind in options.kind:
        if kind not in kinds.KINDS:
            parser.error(f"no kind '{kind}'; there are {' '.join(kinds.KINDS)}")
    options.notes = os.path.abspath(options.notes)
    return options


def run(chosen, full, expected):
    """{(image, command): {width: {outcome, ...}}}, the number of images, of cells, of wrong ones."""
    found, images, count, wrong = {}, set(), 0, 0
    for kind in chosen:
        title = kinds.KINDS[kind][0]
        for shape, command, outcome in results_of(kind, full):
            said = stated(expected.get((title, command), "nothing"), shape.width)
            if outcome.startswith("WRONG") or not full and outcome not in said:
                print(f"{shape}, {command}: {outcome}; the notes say {said}", flush=True)
                wrong += 1
            found.setdefault((title, command), {}).setdefault(shape.width, set()).add(outcome)
            images.add(shape)
            count += 1
    return found, len(images), count, wrong


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(dir=os.environ.get("MATRIX_FOLDER")) as folder:
        for name in ("empty", "made", "cell"):
            os.mkdir(f"{folder}/{name}")
        os.chdir(f"{folder}/cell")
        found, images, count, wrong = run(options.kind or list(kinds.KINDS), options.full,
                                          table_in(options.notes))
        os.chdir("/")
    if options.full:
        table = {key: described(outcomes) for key, outcomes in found.items()}
        if not options.kind and not wrong:
            ran = f"The last full run tried {count} cells of {images} images."
            put_into(options.notes, [*lines_of(table), "", ran])
        else:
            print("\n".join(lines_of(table)))
    print(f"{count - wrong} passed, {wrong} failed")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
