// SPDX-License-Identifier: MIT
/*
 * What results are made of: JSON values, and sizes for people as qemu-img prints them.
 *
 * Objects are built with jansson's json_pack(), which is NULL as a whole if memory ran out anywhere
 * below; emit_json() reports that. Values that come out of an image go through emit_text() and
 * emit_number(), which take whatever a stranger wrote: jansson accepts neither bytes that are no
 * UTF-8 nor numbers above 2^63 - 1.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/*
 * Prints the value, indented by four, and a newline to stdout. Consumes it; NULL means that memory
 * ran out. Whether stdout took it is main()'s to check.
 */
int emit_json(json_t *take_value, struct qc_err *err);

/* A string of the bytes; each that is no UTF-8 becomes U+FFFD. */
json_t *emit_text(const char *text);

/*
 * Prints a text for people. Names in images, and of files, are anybody's bytes: they may neither start
 * a new line nor talk to the terminal, so control characters, those of ISO 6429 beyond ASCII among them,
 * become '?'.
 */
void emit_plain(FILE *stream, const char *text);

/* A number; above 2^63 - 1 a floating point one. */
json_t *emit_number(uint64_t number);

/* "1 GiB": three digits, in the unit that keeps the number below 1000. */
struct emit_size {
	char text[32];
};

/* To be used at once: printf("%s\n", emit_size(bytes).text). */
struct emit_size emit_size(uint64_t bytes);

/* "1 GiB (1073741824 bytes)" */
struct emit_size_exact {
	char text[64];
};

struct emit_size_exact emit_size_exact(uint64_t bytes);
