// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "check/refcounts.h"

#define CLUSTERS 20000u

static void counts_are_those_of_a_plain_array_whatever_is_added(void **state)
{
	uint64_t *model = calloc(CLUSTERS, sizeof(*model));
	struct qc_counts counts;
	struct qc_err err;

	(void)state;
	srand(1);
	assert_int_equal(qc_counts_init(&counts, CLUSTERS, 200000, &err), 0);
	for (int round = 0; round < 3000; round++) {
		uint64_t first = (uint64_t)rand() % CLUSTERS;
		uint64_t count = (uint64_t)rand() % 300;
		uint64_t weight = rand() % 4 ? 1 : (uint64_t)rand() % 70000;
		struct qc_counts_excess excess;
		uint64_t lost = 0;

		if (count > CLUSTERS - first)
			count = CLUSTERS - first;
		for (uint64_t i = first; i < first + count; i++) {
			model[i] += weight;
			if (model[i] > 200000) {
				lost += model[i] - 200000;
				model[i] = 200000;
			}
		}
		assert_int_equal(qc_counts_add(&counts, first, count, weight, &excess, &err), 0);
		assert_int_equal(excess.references, lost);
	}
	for (uint64_t i = 0; i < CLUSTERS; i++) {
		struct qc_counts_word word = qc_counts_word(&counts, i / 64);
		uint64_t shown = (word.low >> i % 64 & 1) | (word.high >> i % 64 & 1) << 1;

		assert_int_equal(qc_counts_get(&counts, i), model[i]);
		assert_int_equal(shown, model[i] < 3 ? model[i] : 3);
	}
	qc_counts_clear(&counts);
	free(model);
}

static void what_is_zero_takes_no_memory(void **state)
{
	struct qc_counts counts;
	struct qc_counts_excess excess;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_counts_init(&counts, INT32_MAX, 1, &err), 0);
	assert_int_equal(qc_counts_add(&counts, INT32_MAX - 1u, 1, 1, &excess, &err), 0);
	assert_true(counts.bytes < 8u << 20);
	assert_int_equal(qc_counts_get(&counts, INT32_MAX - 1u), 1);
	qc_counts_clear(&counts);
}

static void a_count_of_one_bit_holds_one_reference(void **state)
{
	struct qc_counts counts;
	struct qc_counts_excess excess;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_counts_init(&counts, 128, 1, &err), 0);
	assert_int_equal(qc_counts_add(&counts, 60, 8, 1, &excess, &err), 0);
	assert_int_equal(excess.references, 0);
	assert_int_equal(qc_counts_add(&counts, 66, 4, 1, &excess, &err), 0);
	assert_int_equal(excess.references, 2);
	assert_int_equal(excess.cluster, 66);
	qc_counts_clear(&counts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_those_of_a_plain_array_whatever_is_added),
		cmocka_unit_test(what_is_zero_takes_no_memory),
		cmocka_unit_test(a_count_of_one_bit_holds_one_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
