// SPDX-License-Identifier: MIT
/* What a survey says of images in memory whose clusters' owners are known. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "io/file_mem.h"
#include "ops/survey.h"
#include "support/image_builder.h"

static const uint8_t cluster[65536] = {0x5a};

static int survey(const struct builder *b, const uint8_t *bytes, size_t length,
		  struct qc_survey *ret)
{
	struct qc_file *file;
	struct qc_err err;
	int r;

	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	r = qc_survey_make(file, builder_geometry(b), builder_header(b)->disk_bytes, NULL, ret,
			   &err);
	qc_file_close(file);
	return r;
}

static void assert_adds_up(const struct qc_survey *survey)
{
	struct qc_survey_cell total = {0};
	uint64_t all = 0;

	for (uint32_t i = 0; i < survey->cells; i++) {
		uint64_t in_cell = 0;

		for (unsigned int kind = 0; kind < QC_SURVEY_KINDS; kind++) {
			in_cell += survey->cell[i].clusters[kind];
			total.clusters[kind] += survey->cell[i].clusters[kind];
		}
		if (i + 1 < survey->cells)
			assert_int_equal(in_cell, survey->clusters_per_cell);
		all += in_cell;
	}
	assert_int_equal(all, survey->clusters);
	assert_memory_equal(&total, &survey->total, sizeof(total));
}

/* The only kind in the cell of that cluster; there has to be a cell for each. */
static unsigned int kind_of(const struct qc_survey *survey, uint64_t host_cluster)
{
	unsigned int kind = 0;

	assert_int_equal(survey->clusters_per_cell, 1);
	assert_true(host_cluster < survey->cells);
	while (survey->cell[host_cluster].clusters[kind] == 0)
		kind++;
	assert_true(kind < QC_SURVEY_KINDS);
	return kind;
}

static void every_kind_is_told_and_all_add_up_to_the_file(void **state)
{
	struct builder *b = builder_new(NULL);
	struct qc_survey found;
	uint64_t leaked;
	uint8_t *bytes;
	size_t length;

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		builder_data(b, i, cluster);
	builder_zero_alloc(b, 5);
	builder_compressed(b, 7, cluster);
	builder_bitmap(b, "changes", 16, 0);
	builder_skip_clusters(b, 2);
	builder_data(b, 9, cluster);
	builder_finish(b, &bytes, &length);
	leaked = (builder_host_of(b, 9) >> 16) - 1;
	builder_poke_refcount(b, leaked, 1);

	assert_int_equal(survey(b, bytes, length, &found), 0);
	assert_adds_up(&found);
	assert_int_equal(found.clusters, (length + 65535) / 65536);
	assert_int_equal(kind_of(&found, 0), QC_CLAIM_HEADER);
	assert_int_equal(kind_of(&found, builder_l1_entry_at(b, 0) >> 16), QC_CLAIM_L1);
	assert_int_equal(kind_of(&found, builder_l2_entry_at(b, 0) >> 16), QC_CLAIM_L2);
	assert_int_equal(kind_of(&found, builder_refcount_block_at(b, 0) >> 16),
			 QC_CLAIM_REFCOUNTS);
	assert_int_equal(kind_of(&found, builder_host_of(b, 5) >> 16), QC_CLAIM_ZERO);
	assert_int_equal(kind_of(&found, leaked), QC_SURVEY_LEAKED);
	assert_int_equal(kind_of(&found, leaked - 1), QC_SURVEY_FREE);
	assert_int_equal(found.total.clusters[QC_CLAIM_DATA], 5);
	assert_int_equal(found.total.clusters[QC_CLAIM_COMPRESSED], 1);
	assert_int_equal(found.total.clusters[QC_SURVEY_LEAKED], 1);
	assert_true(found.total.clusters[QC_CLAIM_BITMAPS] >= 1);
	qc_survey_clear(&found);
	builder_free(b);
}

static void the_active_state_beats_snapshots_and_these_beat_nothing(void **state)
{
	struct builder *b = builder_new(NULL);
	struct qc_survey found;
	uint64_t replaced, shared;
	uint8_t *bytes;
	size_t length;

	(void)state;
	for (uint64_t i = 0; i < 2; i++)
		builder_data(b, i, cluster);
	builder_snapshot(b, "1", "one");
	replaced = builder_host_of(b, 0) >> 16;
	shared = builder_host_of(b, 1) >> 16;
	builder_data(b, 0, cluster);
	builder_finish(b, &bytes, &length);

	assert_int_equal(survey(b, bytes, length, &found), 0);
	assert_adds_up(&found);
	assert_int_not_equal(replaced, builder_host_of(b, 0) >> 16);
	assert_int_equal(kind_of(&found, builder_host_of(b, 0) >> 16), QC_CLAIM_DATA);
	assert_int_equal(kind_of(&found, shared), QC_CLAIM_DATA);
	assert_int_equal(kind_of(&found, replaced), QC_CLAIM_SNAPSHOTS);
	assert_int_equal(kind_of(&found, builder_snapshot_l1_entry_at(b, 0, 0) >> 16),
			 QC_CLAIM_SNAPSHOTS);
	assert_int_equal(found.total.clusters[QC_CLAIM_DATA], 2);
	qc_survey_clear(&found);
	builder_free(b);
}

static void cells_are_bounded_and_a_cell_of_several_clusters_adds_up(void **state)
{
	struct builder_options options = builder_defaults();
	struct qc_survey found;
	struct builder *b;
	uint8_t *bytes;
	size_t length;

	(void)state;
	options.cluster_bits = 9;
	b = builder_new(&options);
	builder_data(b, 0, cluster);
	builder_skip_clusters(b, QC_SURVEY_CELLS_MAX + 1);
	builder_data(b, 1, cluster);
	builder_finish(b, &bytes, &length);

	assert_int_equal(survey(b, bytes, length, &found), 0);
	assert_int_equal(found.clusters_per_cell, 2);
	assert_true(found.cells <= QC_SURVEY_CELLS_MAX);
	assert_adds_up(&found);
	assert_int_equal(found.total.clusters[QC_CLAIM_DATA], 2);
	qc_survey_clear(&found);
	builder_free(b);
}

static void what_is_referred_to_many_times_counts_once(void **state)
{
	struct builder *b = builder_new(NULL);
	struct qc_survey found;
	uint8_t *bytes;
	size_t length;

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		builder_data(b, i, cluster);
	builder_finish(b, &bytes, &length);
	/* Two places of the disk share a cluster, and one refers to past the end of the file. */
	builder_poke64(b, builder_l2_entry_at(b, 1), builder_peek64(b, builder_l2_entry_at(b, 0)));
	builder_poke64(b, builder_l2_entry_at(b, 2), UINT64_C(1) << 63 | length << 4);

	assert_int_equal(survey(b, bytes, length, &found), 0);
	assert_adds_up(&found);
	assert_int_equal(found.total.clusters[QC_CLAIM_DATA], 2);
	assert_int_equal(found.total.clusters[QC_SURVEY_LEAKED], 2);
	qc_survey_clear(&found);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_is_told_and_all_add_up_to_the_file),
		cmocka_unit_test(the_active_state_beats_snapshots_and_these_beat_nothing),
		cmocka_unit_test(cells_are_bounded_and_a_cell_of_several_clusters_adds_up),
		cmocka_unit_test(what_is_referred_to_many_times_counts_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
