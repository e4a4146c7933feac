// SPDX-License-Identifier: MIT
/* What a run found, a line for each operation, as it is quoted in docs. */
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
