// SPDX-License-Identifier: MIT
#include "unit/image/fixture.h"

#include "format/l1_entry.h"
#include "format/l2_entry.h"

#define CLUSTER UINT64_C(65536)

static struct qc_extent map_at(const struct fixture *f, uint64_t at, uint64_t max)
{
	struct qc_extent extent = {0};
	struct qc_view view;
	struct qc_err err;

	qc_view_active(&f->layer, &view);
	if (qc_map_layer(&view, qc_guest(at), max, &extent, &err) < 0)
		fail_msg("%s", err.text);
	return extent;
}

static void assert_map_refused(const struct fixture *f, uint64_t at, const char *words)
{
	struct qc_extent extent;
	struct qc_view view;
	struct qc_err err;

	qc_view_active(&f->layer, &view);
	assert_int_equal(qc_map_layer(&view, qc_guest(at), UINT64_MAX, &extent, &err),
			 -QC_E_FORMAT);
	assert_non_null(strstr(err.text, words));
}

static void kinds_follow_the_entries(void **state)
{
	struct builder *b = builder_new(NULL);
	struct qc_extent extent;
	struct fixture f;

	(void)state;
	builder_data(b, 1, filled(1));
	builder_zero(b, 2);
	builder_zero_alloc(b, 3);
	builder_compressed(b, 4, filled(4));
	builder_compressed(b, 5, filled(5));
	fixture_open(&f, b);
	extent = map_at(&f, 0, UINT64_MAX);
	assert_int_equal(extent.kind, QC_EXTENT_UNALLOCATED);
	assert_int_equal(extent.bytes, CLUSTER);
	extent = map_at(&f, CLUSTER + 5, UINT64_MAX);
	assert_int_equal(extent.kind, QC_EXTENT_DATA);
	assert_int_equal(extent.bytes, CLUSTER - 5);
	assert_int_equal(extent.host.byte, builder_host_of(b, 1) + 5);
	extent = map_at(&f, 2 * CLUSTER, UINT64_MAX);
	assert_int_equal(extent.kind, QC_EXTENT_ZERO);
	assert_false(extent.has_host);
	assert_int_equal(extent.bytes, CLUSTER);
	extent = map_at(&f, 3 * CLUSTER, UINT64_MAX);
	assert_int_equal(extent.kind, QC_EXTENT_ZERO);
	assert_true(extent.has_host);
	extent = map_at(&f, 4 * CLUSTER, UINT64_MAX);
	assert_int_equal(extent.kind, QC_EXTENT_COMPRESSED);
	assert_int_equal(extent.bytes, CLUSTER);
	fixture_close(&f);
	builder_free(b);
}

static void runs_join_across_tables_and_stop_at_the_limit(void **state)
{
	struct builder_options o = builder_defaults();
	struct qc_extent extent;
	struct builder *b;
	struct fixture f;

	(void)state;
	o.cluster_bits = 9; /* 64 entries in a table */
	o.disk_bytes = 512 * 300 + 100;
	b = builder_new(&o);
	builder_zero(b, 0);
	for (uint64_t i = 60; i < 140; i++)
		builder_zero(b, i);
	fixture_open(&f, b);
	extent = map_at(&f, 60 * 512 + 1, UINT64_MAX);
	assert_int_equal(extent.bytes, 80 * 512 - 1);
	extent = map_at(&f, 60 * 512 + 1, 70 * 512);
	assert_int_equal(extent.bytes, 70 * 512);
	extent = map_at(&f, 512, UINT64_MAX);
	assert_int_equal(extent.bytes, 59 * 512);
	extent = map_at(&f, 140 * 512, UINT64_MAX);
	assert_int_equal(extent.kind, QC_EXTENT_UNALLOCATED);
	assert_int_equal(extent.bytes, 160 * 512 + 100);
	fixture_close(&f);
	builder_free(b);
}

static void a_gap_between_host_clusters_ends_an_extent(void **state)
{
	struct builder *b = builder_new(NULL);
	struct fixture f;

	(void)state;
	builder_zero(b, 15); /* so that the L2 table is not between the clusters */
	builder_data(b, 0, filled(1));
	builder_data(b, 1, filled(2));
	builder_skip_clusters(b, 1);
	builder_data(b, 2, filled(3));
	fixture_open(&f, b);
	assert_int_equal(builder_host_of(b, 1), builder_host_of(b, 0) + CLUSTER);
	assert_int_equal(map_at(&f, 0, UINT64_MAX).bytes, 2 * CLUSTER);
	assert_int_equal(map_at(&f, 2 * CLUSTER, UINT64_MAX).bytes, CLUSTER);
	fixture_close(&f);
	builder_free(b);
}

static void subclusters_are_told_apart(void **state)
{
	struct builder_options o = builder_defaults();
	struct qc_extent extent;
	struct builder *b;
	struct fixture f;

	(void)state;
	o.extended_l2 = true;
	b = builder_new(&o);
	builder_zero(b, 15);
	/* Data in 0..1, zero in 2, nothing in 3..30, data in 31, which the next cluster continues. */
	builder_subclusters(b, 0, filled(1), 0x80000003, 0x4);
	builder_subclusters(b, 1, filled(2), 0xffffffff, 0);
	builder_subclusters(b, 2, filled(3), 0x00000001, 0);
	fixture_open(&f, b);
	extent = map_at(&f, 0, UINT64_MAX);
	assert_int_equal(extent.kind, QC_EXTENT_DATA);
	assert_int_equal(extent.bytes, 4096);
	extent = map_at(&f, 4096, UINT64_MAX);
	assert_int_equal(extent.kind, QC_EXTENT_ZERO);
	assert_int_equal(extent.bytes, 2048);
	extent = map_at(&f, 6144, UINT64_MAX);
	assert_int_equal(extent.kind, QC_EXTENT_UNALLOCATED);
	assert_int_equal(extent.bytes, 28 * 2048);
	extent = map_at(&f, 31 * 2048, UINT64_MAX);
	assert_int_equal(extent.kind, QC_EXTENT_DATA);
	assert_int_equal(extent.bytes, 2048 + CLUSTER + 2048);
	fixture_close(&f);
	builder_free(b);
}

static void an_entry_that_makes_no_sense_is_named_and_ends_the_one_before(void **state)
{
	struct builder *b = builder_new(NULL);
	uint8_t *bytes;
	size_t length;
	struct fixture f;

	(void)state;
	builder_zero(b, 0);
	builder_zero(b, 1);
	builder_finish(b, &bytes, &length);
	builder_poke64(b, builder_l2_entry_at(b, 1), 0x50200);
	assert_int_equal(fixture_reopen(&f, bytes, length), 0);
	f.layer.disk_bytes = f.layer.image->header.disk_bytes;
	assert_int_equal(map_at(&f, 0, UINT64_MAX).bytes, CLUSTER);
	assert_map_refused(&f, CLUSTER + 0x10, "guest offset 0x10010 (host offset 0x50200)");
	fixture_close(&f);
	builder_free(b);
}

static void l1_entries_are_judged_when_they_are_used(void **state)
{
	struct builder_options o = builder_defaults();
	struct builder *b;
	uint8_t *bytes;
	size_t length;
	struct fixture f;

	(void)state;
	o.cluster_bits = 9;
	o.disk_bytes = 4 * 64 * 512;
	b = builder_new(&o);
	builder_zero(b, 0);
	builder_finish(b, &bytes, &length);
	builder_poke64(b, builder_l1_entry_at(b, 1), 0x100); /* reserved */
	builder_poke64(b, builder_l1_entry_at(b, 2),
		       QC_L1_COPIED | 0x7ffffffffe00);				 /* past the end */
	builder_poke64(b, builder_l1_entry_at(b, 3), UINT64_C(1) << 62 | 0x200); /* reserved */
	assert_int_equal(fixture_reopen(&f, bytes, length), 0);
	f.layer.disk_bytes = f.layer.image->header.disk_bytes;
	assert_int_equal(map_at(&f, 512, UINT64_MAX).bytes, 63 * 512);
	assert_map_refused(&f, 64 * 512, "guest offset 0x8000");
	assert_int_equal(map_at(&f, 2 * 64 * 512, UINT64_MAX).kind, QC_EXTENT_UNALLOCATED);
	assert_map_refused(&f, 3 * 64 * 512, "L1 entry");
	fixture_close(&f);
	builder_free(b);
}

static void snapshots_have_a_view_of_their_own(void **state)
{
	struct builder *b = builder_new(NULL);
	struct qc_extent extent = {0};
	struct qc_view view;
	struct fixture f;

	(void)state;
	builder_data(b, 0, filled(1));
	builder_snapshot(b, "1", "before");
	builder_zero(b, 0);
	fixture_open(&f, b);
	assert_int_equal(map_at(&f, 0, UINT64_MAX).kind, QC_EXTENT_ZERO);
	assert_int_equal(qc_view_snapshot(&f.layer, qc_image_find_snapshot(f.layer.image, "before"),
					  &view, &f.err),
			 0);
	assert_int_equal(qc_map_layer(&view, qc_guest(0), UINT64_MAX, &extent, &f.err), 0);
	assert_int_equal(extent.kind, QC_EXTENT_DATA);
	qc_view_clear(&view);
	fixture_close(&f);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_follow_the_entries),
		cmocka_unit_test(runs_join_across_tables_and_stop_at_the_limit),
		cmocka_unit_test(a_gap_between_host_clusters_ends_an_extent),
		cmocka_unit_test(subclusters_are_told_apart),
		cmocka_unit_test(an_entry_that_makes_no_sense_is_named_and_ends_the_one_before),
		cmocka_unit_test(l1_entries_are_judged_when_they_are_used),
		cmocka_unit_test(snapshots_have_a_view_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
