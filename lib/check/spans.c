// SPDX-License-Identifier: MIT
#include "check/spans.h"

#include <stdlib.h>

#include "base/cleanup.h"

static int by_start(const void *a, const void *b)
{
	const struct qc_span *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int by_end(const void *a, const void *b)
{
	const struct qc_span *const *x = a, *const *y = b;

	return (*x)->end < (*y)->end ? -1 : (*x)->end > (*y)->end;
}

/*
 * Where the sweep stands. Of the tables begun so far, the one that ends last covers every stretch
 * that any of them covers, so it can speak for all.
 */
struct sweep {
	uint64_t weight;
	uint64_t active;
	const struct qc_span *longest;
	const struct qc_span *longest_active;
};

static const struct qc_span *longer(const struct qc_span *a, const struct qc_span *b)
{
	return !a || b->end > a->end ? b : a;
}

static void begin(struct sweep *sweep, const struct qc_span *span)
{
	sweep->weight++;
	sweep->longest = longer(sweep->longest, span);
	if (span->owner == 0) {
		sweep->active++;
		sweep->longest_active = longer(sweep->longest_active, span);
	}
}

static void finish(struct sweep *sweep, const struct qc_span *span)
{
	sweep->weight--;
	sweep->active -= span->owner == 0;
}

int qc_spans_sweep(struct qc_span *spans, size_t count,
		   int (*take)(void *context, const struct qc_stretch *stretch, struct qc_err *err),
		   void *context, struct qc_err *err)
{
	QC_AUTOFREE const struct qc_span **ends = calloc(count + 1, sizeof(*ends));
	struct sweep sweep = {0};
	uint64_t at = 0;
	size_t begun = 0;
	int status = 0;

	if (!ends)
		return qc_fail_memory(err);
	if (count > 0)
		qsort(spans, count, sizeof(*spans), by_start);
	for (size_t i = 0; i < count; i++)
		ends[i] = &spans[i];
	qsort(ends, count, sizeof(*ends), by_end);
	for (size_t ended = 0; ended < count && status == 0;) {
		bool begins = begun < count && spans[begun].start < ends[ended]->end;
		uint64_t next = begins ? spans[begun].start : ends[ended]->end;
		struct qc_stretch stretch = {at, next, sweep.weight, sweep.active,
					     sweep.active ? sweep.longest_active : sweep.longest};

		if (next > at && sweep.weight > 0)
			status = take(context, &stretch, err);
		at = next;
		if (begins)
			begin(&sweep, &spans[begun++]);
		else
			finish(&sweep, ends[ended++]);
	}
	return status;
}
