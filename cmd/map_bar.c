// SPDX-License-Identifier: MIT
#include "cmd/map_bar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/checked.h"
#include "cmd/emit.h"
#include "image/chain_map.h"

#define COLUMNS_LEAST 20u
#define COLUMNS_MOST 512u
#define COLUMNS_USUAL 80u

enum kind {
	STORED,
	COMPRESSED,
	BACKING,
	ZERO,
	ABSENT,
	KINDS
};

static const struct {
	const char *name;
	char letter;
	const char *start, *block; /* escape sequence, and what it colours */
} kinds[KINDS] = {
	[STORED] = {"data", '#', "\033[44m", " "},
	[COMPRESSED] = {"compressed", 'c', "\033[46m", " "},
	[BACKING] = {"from a backing file", 'b', "\033[43m", " "},
	[ZERO] = {"zeroes", '0', "\033[100m", " "},
	[ABSENT] = {"nothing stored", '.', "\033[90m", "."},
};

struct tally {
	uint64_t bytes[KINDS];
};

static unsigned int terminal_columns(void)
{
	const char *asked = getenv("COLUMNS");
	unsigned long number = asked ? strtoul(asked, NULL, 10) : 0;
	struct winsize size;

	if (number == 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		number = size.ws_col;
	if (number == 0)
		number = COLUMNS_USUAL;
	return (unsigned int)qc_max(COLUMNS_LEAST, qc_min(COLUMNS_MOST, number));
}

void map_bar_init(struct map_bar *ret)
{
	const char *terminal = getenv("TERM"), *no_colour = getenv("NO_COLOR");

	*ret = (struct map_bar){0};
	if (isatty(STDOUT_FILENO) != 1)
		return;
	ret->columns = terminal_columns();
	ret->coloured = !(no_colour && *no_colour) && terminal && *terminal
			&& strcmp(terminal, "dumb") != 0;
}

static enum kind kind_of(const struct qc_chain_extent *e)
{
	if (!e->present)
		return ABSENT;
	if (e->zero)
		return ZERO;
	if (e->depth > 0)
		return BACKING;
	return e->compressed ? COMPRESSED : STORED;
}

/* Where a column ends, exactly, and without the product of two large numbers. */
static uint64_t column_end(uint64_t bytes, unsigned int columns, unsigned int column)
{
	uint64_t next = (uint64_t)column + 1;

	return bytes / columns * next + bytes % columns * next / columns;
}

static int look(const struct qc_view *view, uint64_t start, uint64_t end, unsigned int columns,
		struct tally *cells, struct tally *total, struct qc_err *err)
{
	struct qc_chain_extent e;
	unsigned int column = 0;
	uint64_t part;

	for (uint64_t at = start; at < end; at += e.bytes) {
		int rc = qc_chain_map(view, qc_guest(at), end - at, &e, err);

		if (rc < 0)
			return rc;
		total->bytes[kind_of(&e)] += e.bytes;
		for (uint64_t from = at; from < at + e.bytes; from += part) {
			while (start + column_end(end - start, columns, column) <= from)
				column++;
			part = start + column_end(end - start, columns, column) - from;
			part = qc_min(part, at + e.bytes - from);
			cells[column].bytes[kind_of(&e)] += part;
		}
	}
	return 0;
}

/* What there is most of. Of little that is stored among much that is not, something is to be seen. */
static enum kind main_kind(const struct tally *cell)
{
	enum kind best = ABSENT;
	uint64_t most = 0;

	for (enum kind i = STORED; i < ZERO; i++)
		if (cell->bytes[i] > most) {
			most = cell->bytes[i];
			best = i;
		}
	if (most == 0 && cell->bytes[ZERO] > 0)
		best = ZERO;
	return best;
}

static void put_blocks(const struct map_bar *bar, enum kind kind, unsigned int count)
{
	if (bar->coloured)
		fputs(kinds[kind].start, stdout);
	for (; count > 0; count--)
		putchar(bar->coloured ? *kinds[kind].block : kinds[kind].letter);
	if (bar->coloured)
		fputs("\033[0m", stdout);
}

static void put_bar(const struct map_bar *bar, const struct tally *cells)
{
	unsigned int next;

	for (unsigned int i = 0; i < bar->columns; i = next) {
		enum kind kind = main_kind(&cells[i]);

		for (next = i + 1; next < bar->columns && main_kind(&cells[next]) == kind;)
			next++;
		put_blocks(bar, kind, next - i);
	}
	putchar('\n');
}

static void put_legend(const struct map_bar *bar, const struct tally *total)
{
	size_t used = 0;

	for (enum kind i = STORED; i < KINDS; i++) {
		char text[64];
		size_t needed;

		if (total->bytes[i] == 0)
			continue;
		snprintf(text, sizeof(text), " %s %s", kinds[i].name,
			 emit_size(total->bytes[i]).text);
		needed = 2 + strlen(text);
		if (used > 0 && used + 2 + needed > bar->columns) {
			putchar('\n');
			used = 0;
		} else if (used > 0) {
			fputs("  ", stdout);
			used += 2;
		}
		put_blocks(bar, i, 2);
		fputs(text, stdout);
		used += needed;
	}
	putchar('\n');
}

int map_bar_print(const struct map_bar *bar, const struct qc_view *view, uint64_t start,
		  uint64_t end, struct qc_err *err)
{
	struct tally cells[COLUMNS_MOST] = {0}, total = {0};
	int rc;

	if (bar->columns == 0 || start >= end)
		return 0;
	rc = look(view, start, end, bar->columns, cells, &total, err);
	if (rc < 0)
		return rc;
	put_bar(bar, cells);
	put_legend(bar, &total);
	return 0;
}
