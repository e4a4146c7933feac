// SPDX-License-Identifier: MIT
/*
 * A dump for people, in the form of `hexdump -C`: offset, 16 bytes in hex, the same as text. Lines
 * that repeat the one before are folded into one `*`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEX_DUMP_LINE_BYTES 16u

/* Starts as zeroes but for `at`. */
struct hex_dump {
	uint64_t at; /* the offset of the next line */
	uint8_t before[HEX_DUMP_LINE_BYTES];
	uint8_t line[HEX_DUMP_LINE_BYTES];
	size_t line_bytes;
	bool has_before;
	bool folding;
};

/* Prints to stdout, as far as there are whole lines. */
void hex_dump_put(struct hex_dump *dump, const uint8_t *bytes, size_t length);

/* Prints what is left over, and the offset where the dump ends. */
void hex_dump_end(struct hex_dump *dump);
