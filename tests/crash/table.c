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
	       "core, %.0f with what comes after them, without QEMU's own time.\n",
	       t->states, t->faults, seconds,
	       (double)t->states / (total->seconds - (double)t->later_usec / 1e6),
	       (double)t->states / total->seconds);
	printf("Of the states %" PRIu64 " come from a second or third crash, %" PRIu64
	       " have a torn header and %" PRIu64 " a damaged or foreign journal.\n",
	       t->nested, t->torn_headers, t->false_journals);
	printf("Of a sample %" PRIu64 " were read and checked whole, %" PRIu64
	       " recovered, and %" PRIu64 " compared by qemu-img.\n",
	       t->full, t->recovered, t->compared);
	for (size_t i = 0; i < LATERS; i++)
		printf("%s met %" PRIu64 ", in %" PRIu64 " runs.\n", later_names[i], t->met[i],
		       t->tried[i]);
	printf("Of the torn headers %" PRIu64
	       " make sense as they are, and were finished on request.\n",
	       t->torn_doubtful);
}

/* The sum of the edits that have that one's group. */
static struct row group_of(const struct row *rows, size_t edit)
{
	struct row group = {0};

	for (size_t i = edit; i < edit_kind_count; i++)
		if (strcmp(edit_kinds[i].group, edit_kinds[edit].group) == 0)
			row_add(&group, &rows[i]);
	return group;
}

/* Calls print() for each group that there is, then for the pairs and the sum, which is *ret. */
static void print_rows(const struct row *rows, const struct row *pairs,
		       void (*print)(const char *name, const struct row *row), struct row *ret)
{
	*ret = (struct row){0};
	for (size_t i = 0; i < edit_kind_count; i++) {
		struct row group = group_of(rows, i);

		if (!is_first_of_group(i) || group.scenarios == 0)
			continue;
		print(edit_kinds[i].group, &group);
		row_add(ret, &group);
	}
	if (pairs->scenarios > 0)
		print("with a data file", pairs);
	row_add(ret, pairs);
	print("all", ret);
}

void table_print(const struct row *rows, const struct row *pairs, double seconds)
{
	struct row total;

	printf("\n%-17s %9s %10s %5s %7s %8s %5s %9s %8s %8s\n", "operation", "scenarios", "states",
	       "torn", "leaked", "corrupt", "lost", "disputed", "faults", "seconds");
	print_rows(rows, pairs, print_row, &total);
	print_total(&total, seconds);
}

static void print_row_for_docs(const char *name, const struct row *row)
{
	const struct tally *t = &row->tally;

	printf("| %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64
	       " | %" PRIu64 " | %" PRIu64 " |\n",
	       name, row->scenarios, t->states, t->torn, t->leaked, t->corrupt, t->lost, t->faults);
}

void table_print_for_docs(const struct row *rows, const struct row *pairs, size_t processors,
			  double seconds)
{
	struct row total;
	const struct tally *t = &total.tally;

	printf("\n<!-- inside -->\n\nOne such run, on %zu processors in %.0f seconds:\n\n",
	       processors, seconds);
	printf("| operation | scenarios | states | torn | leaked | corrupt | lost | failing calls |\n"
	       "|---|--:|--:|--:|--:|--:|--:|--:|\n");
	print_rows(rows, pairs, print_row_for_docs, &total);
	printf("\n%" PRIu64 " of the states come from a second crash, during the recovery from the "
	       "first, or a third; %" PRIu64 " have\na journal that must not be believed. %" PRIu64
	       " were read and checked whole, and %" PRIu64 " compared by `qemu-img compare`.\n",
	       t->nested, t->false_journals, t->full, t->compared);
	printf("\n| after the crash | states that it met | runs |\n|---|--:|--:|\n");
	for (size_t i = 0; i < LATERS; i++)
		printf("| %s | %" PRIu64 " | %" PRIu64 " |\n", later_names[i], t->met[i],
		       t->tried[i]);
	printf("\nSector 0, torn at every byte, both ways, gave %" PRIu64
	       " different sectors. %" PRIu64 " of those made sense as they were.\n",
	       t->torn_headers, t->torn_doubtful);
	printf("\n<!-- /inside -->\n");
}
