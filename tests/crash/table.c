// SPDX-License-Identifier: MIT
#include "crash/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void row_add(struct row *to, const struct row *row)
{
	uint64_t *sum = (uint64_t *)&to->tally;
	const uint64_t *more = (const uint64_t *)&row->tally;

	for (size_t i = 0; i < sizeof(row->tally) / sizeof(uint64_t); i++)
		sum[i] += more[i];
	to->scenarios += row->scenarios;
	to->seconds += row->seconds;
}

static void print_row(const char *name, const struct row *row)
{
	const struct tally *t = &row->tally;

	printf("%-17s %9" PRIu64 " %10" PRIu64 " %5" PRIu64 " %7" PRIu64 " %8" PRIu64 " %5" PRIu64
	       " %9" PRIu64 " %8" PRIu64 " %8.1f\n",
	       name, row->scenarios, t->states, t->torn, t->leaked, t->corrupt, t->lost,
	       t->disagreed, t->faults, row->seconds);
}

static bool is_first_of_group(size_t edit)
{
	for (size_t i = 0; i < edit; i++)
		if (strcmp(edit_kinds[i].group, edit_kinds[edit].group) == 0)
			return false;
	return true;
}

static void print_total(const struct row *total, double seconds)
{
	const struct tally *t = &total->tally;

	printf("\n%" PRIu64 " states and %" PRIu64 " faults in %.1f s; %.0f states a second of one "
	       "core, all included.\n",
	       t->states, t->faults, seconds, (double)t->states / total->seconds);
	printf("Of the states %" PRIu64 " come from a second or third crash, %" PRIu64
	       " have a torn header and %" PRIu64 " a damaged or foreign journal.\n",
	       t->nested, t->torn_headers, t->false_journals);
	printf("Of a sample %" PRIu64 " were read and checked whole, %" PRIu64
	       " recovered, %" PRIu64 " written to, %" PRIu64
	       " put through the same again, and %" PRIu64 " shown to QEMU.\n",
	       t->full, t->recovered, t->resumed, t->again, t->referee);
	printf("Of the torn headers %" PRIu64
	       " make sense as they are, and were finished on request.\n",
	       t->torn_doubtful);
}

void table_print(const struct row *rows, const struct row *pairs, double seconds)
{
	struct row total = {0};

	printf("\n%-17s %9s %10s %5s %7s %8s %5s %9s %8s %8s\n", "operation", "scenarios", "states",
	       "torn", "leaked", "corrupt", "lost", "disputed", "faults", "seconds");
	for (size_t i = 0; i < edit_kind_count; i++) {
		struct row group = {0};

		if (!is_first_of_group(i))
			continue;
		for (size_t j = i; j < edit_kind_count; j++)
			if (strcmp(edit_kinds[j].group, edit_kinds[i].group) == 0)
				row_add(&group, &rows[j]);
		if (group.scenarios == 0)
			continue;
		print_row(edit_kinds[i].group, &group);
		row_add(&total, &group);
	}
	if (pairs->scenarios > 0)
		print_row("with a data file", pairs);
	row_add(&total, pairs);
	print_row("total", &total);
	print_total(&total, seconds);
}
