// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "format/geometry.h"
#include "format/limits.h"

static void every_combination_is_consistent(void **state)
{
	struct qc_geometry g;

	(void)state;
	for (uint32_t bits = QC_CLUSTER_BITS_MIN; bits <= QC_CLUSTER_BITS_MAX; bits++) {
		for (uint32_t order = 0; order <= QC_REFCOUNT_ORDER_MAX; order++) {
			for (int extended = 0; extended < 2; extended++) {
				qc_geometry_init(&g, 3, bits, order, extended, false);
				assert_int_equal(g.cluster_bytes, UINT64_C(1) << bits);
				assert_int_equal(g.l2_entries * g.l2_entry_bytes, g.cluster_bytes);
				assert_int_equal(g.l2_span_bytes, g.l2_entries * g.cluster_bytes);
				assert_int_equal(g.subclusters * g.subcluster_bytes,
						 g.cluster_bytes);
				assert_int_equal(g.refcounts_per_block << order,
						 g.cluster_bytes * 8);
				assert_true(g.refcount_max
					    == (order == 6 ? UINT64_MAX
							   : (UINT64_C(1) << (1 << order)) - 1));
			}
		}
	}
}

static void well_known_numbers_come_out(void **state)
{
	struct qc_geometry g;

	(void)state;
	qc_geometry_init(&g, 3, 16, 4, false, false);
	assert_int_equal(g.l2_entries, 8192);
	assert_int_equal(g.l2_span_bytes, UINT64_C(512) << 20);
	assert_int_equal(g.refcounts_per_block, 32768);
	assert_int_equal(g.refcount_max, 65535);
	qc_geometry_init(&g, 3, 16, 4, true, false);
	assert_int_equal(g.l2_entries, 4096);
	assert_int_equal(g.subcluster_bytes, 2048);
}

static void indices_are_right_around_the_span_of_a_table(void **state)
{
	struct qc_geometry g;
	uint64_t span;

	(void)state;
	for (uint32_t bits = QC_CLUSTER_BITS_MIN; bits <= QC_CLUSTER_BITS_MAX; bits++) {
		qc_geometry_init(&g, 3, bits, 4, bits >= 14, false);
		span = g.l2_span_bytes;
		assert_int_equal(qc_l1_index(&g, qc_guest(span - 1)), 0);
		assert_int_equal(qc_l2_index(&g, qc_guest(span - 1)), g.l2_entries - 1);
		assert_int_equal(qc_l1_index(&g, qc_guest(span)), 1);
		assert_int_equal(qc_l2_index(&g, qc_guest(span)), 0);
		assert_int_equal(qc_in_cluster(&g, span - 1), g.cluster_bytes - 1);
		assert_int_equal(qc_l1_entries_for(&g, 0), 0);
		assert_int_equal(qc_l1_entries_for(&g, 1), 1);
		assert_int_equal(qc_l1_entries_for(&g, span), 1);
		assert_int_equal(qc_l1_entries_for(&g, span + 1), 2);
		assert_int_equal(qc_clusters_for(&g, 0), 0);
		assert_int_equal(qc_clusters_for(&g, g.cluster_bytes), 1);
		assert_int_equal(qc_clusters_for(&g, g.cluster_bytes + 1), 2);
		assert_true(qc_clusters_for(&g, UINT64_MAX) == UINT64_C(1) << (64 - bits));
		assert_int_equal(qc_host_cluster(&g, qc_host_of_cluster(&g, 77)), 77);
	}
}

static void refcountable_clusters_never_pass_the_highest_offset(void **state)
{
	struct qc_geometry g;

	(void)state;
	qc_geometry_init(&g, 3, 9, 6, false, false);
	assert_int_equal(qc_refcountable_clusters(&g), UINT64_C(64) << 20);
	qc_geometry_init(&g, 3, 16, 4, false, false);
	assert_int_equal(qc_refcountable_clusters(&g), UINT64_C(1) << 35);
	qc_geometry_init(&g, 3, 21, 0, false, false);
	assert_int_equal(qc_refcountable_clusters(&g), UINT64_C(1) << (56 - 21));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_is_consistent),
		cmocka_unit_test(well_known_numbers_come_out),
		cmocka_unit_test(indices_are_right_around_the_span_of_a_table),
		cmocka_unit_test(refcountable_clusters_never_pass_the_highest_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
