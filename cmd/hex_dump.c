// SPDX-License-Identifier: MIT
#include "cmd/hex_dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"

static void put_hex_byte(char **to, uint8_t byte)
{
	static const char digits[] = "0123456789abcdef";

	*(*to)++ = digits[byte >> 4];
	*(*to)++ = digits[byte & 15];
	*(*to)++ = ' ';
}

/* A whole dump is millions of lines, so they are put together by hand. */
static void print_line(uint64_t at, const uint8_t *bytes, size_t length)
{
	char text[96];
	char *to = text;

	for (size_t i = 0; i < HEX_DUMP_LINE_BYTES; i++) {
		if (i == HEX_DUMP_LINE_BYTES / 2)
			*to++ = ' ';
		if (i < length)
			put_hex_byte(&to, bytes[i]);
		else
			to = mempcpy(to, "   ", 3);
	}
	to = mempcpy(to, " |", 2);
	for (size_t i = 0; i < length; i++)
		*to++ = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '.';
	to = mempcpy(to, "|\n", 2);
	printf("%08" PRIx64 "  ", at);
	fwrite(text, 1, (size_t)(to - text), stdout);
}

static void take_line(struct hex_dump *dump, const uint8_t *bytes)
{
	if (dump->has_before && memcmp(bytes, dump->before, HEX_DUMP_LINE_BYTES) == 0) {
		if (!dump->folding)
			puts("*");
		dump->folding = true;
	} else {
		print_line(dump->at, bytes, HEX_DUMP_LINE_BYTES);
		memcpy(dump->before, bytes, HEX_DUMP_LINE_BYTES);
		dump->has_before = true;
		dump->folding = false;
	}
	dump->at += HEX_DUMP_LINE_BYTES;
}

void hex_dump_put(struct hex_dump *dump, const uint8_t *bytes, size_t length)
{
	size_t part;

	for (; length > 0; bytes += part, length -= part) {
		part = (size_t)qc_min(length, HEX_DUMP_LINE_BYTES - dump->line_bytes);
		memcpy(dump->line + dump->line_bytes, bytes, part);
		dump->line_bytes += part;
		if (dump->line_bytes < HEX_DUMP_LINE_BYTES)
			continue;
		take_line(dump, dump->line);
		dump->line_bytes = 0;
	}
}

void hex_dump_end(struct hex_dump *dump)
{
	if (dump->line_bytes > 0)
		print_line(dump->at, dump->line, dump->line_bytes);
	dump->at += dump->line_bytes;
	if (dump->has_before || dump->line_bytes > 0)
		printf("%08" PRIx64 "\n", dump->at);
	dump->line_bytes = 0;
}
