// SPDX-License-Identifier: MIT
/* What a run found, a line for each operation. */
#pragma once

#include "crash/campaign.h"

struct row {
	uint64_t scenarios;
	struct tally tally;
	double seconds; /* of one core */
};

void row_add(struct row *to, const struct row *row);

/* One row for each of edit_kinds; those of one group are summed up. And one for pairs. */
void table_print(const struct row *rows, const struct row *pairs, double seconds);

/* The same as the block of docs/CRASH-FIGURES.md between `<!-- inside -->` and `<!-- /inside -->`. */
void table_print_for_docs(const struct row *rows, const struct row *pairs, size_t processors,
			  double seconds);
