// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "check/spans.h"

#define BYTES 64

static int add_weight(void *context, const struct qc_stretch *stretch, struct qc_err *err)
{
	uint64_t *weight = context;

	(void)err;
	assert_true(stretch->start < stretch->end);
	assert_true(stretch->cover->start <= stretch->start && stretch->cover->end >= stretch->end);
	assert_int_equal(stretch->active > 0, stretch->cover->owner == 0);
	for (uint64_t i = stretch->start; i < stretch->end; i++) {
		assert_int_equal(weight[i], 0); /* each byte is in one stretch */
		weight[i] = stretch->weight;
	}
	return 0;
}

static void every_byte_has_the_weight_of_the_tables_over_it(void **state)
{
	struct qc_err err;

	(void)state;
	srand(2);
	for (int round = 0; round < 500; round++) {
		size_t count = (size_t)rand() % 8;
		struct qc_span spans[8];
		uint64_t weight[BYTES] = {0}, model[BYTES] = {0};

		for (size_t i = 0; i < count; i++) {
			spans[i].start = (uint64_t)rand() % (BYTES - 1);
			spans[i].end = spans[i].start + 1
				       + (uint64_t)rand() % (BYTES - spans[i].start - 1 + 1)
						 % (BYTES - spans[i].start);
			spans[i].owner = (uint32_t)i;
			for (uint64_t at = spans[i].start; at < spans[i].end; at++)
				model[at]++;
		}
		assert_int_equal(qc_spans_sweep(spans, count, add_weight, weight, &err), 0);
		assert_memory_equal(weight, model, sizeof(model));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_has_the_weight_of_the_tables_over_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
