# SPDX-License-Identifier: MIT
# Gives an empty image with 64 KiB clusters as many snapshots of nothing as its table may have.
#
#	full_table.py IMAGE NAME-BYTES
import struct
import sys

CLUSTER = 65536
MOST_SNAPSHOTS, MOST_BYTES = 65536, 64 << 20


def entry(number, name_bytes):
    identity = str(number).encode()
    name = (b"%06d" % number).ljust(name_bytes, b"x")
    head = struct.pack(">QIHHIIQII", 0, 0, len(identity), len(name), 0, 0, 0, 0, 24)
    extra = struct.pack(">QQQ", 0, 1 << 20, 2**64 - 1)
    whole = head + extra + identity + name
    return whole + bytes(-len(whole) % 8)


def main(path, name_bytes):
    table, count = bytearray(), 0
    while count < MOST_SNAPSHOTS:
        more = entry(count + 1, name_bytes)
        if len(table) + len(more) > MOST_BYTES:
            break
        table += more
        count += 1
    with open(path, "r+b") as image:
        header = image.read(104)
        offset = -(-image.seek(0, 2) // CLUSTER) * CLUSTER
        clusters = -(-len(table) // CLUSTER)
        image.write(bytes(offset + clusters * CLUSTER - image.tell()))
        image.seek(offset)
        image.write(table)
        image.seek(struct.unpack(">Q", header[48:56])[0])
        block = struct.unpack(">Q", image.read(8))[0]
        image.seek(block + offset // CLUSTER * 2)
        image.write(b"\0\1" * clusters)
        image.seek(60)
        image.write(struct.pack(">IQ", count, offset))


main(sys.argv[1], int(sys.argv[2]))
