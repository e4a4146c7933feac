// SPDX-License-Identifier: MIT
#include "unit/check/fixture.h"

#include "base/checked.h"
#include "format/bitmap_directory.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"

static void what_the_builder_makes_is_clean(void **state)
{
	static const uint32_t bits[] = {9, 12, 14, 16};

	(void)state;
	for (unsigned int i = 0; i < 12; i++) {
		bool extended = i >= 8;
		uint32_t version = extended || i % 2 ? 3 : 2;
		struct builder *b;
		struct checked checked;
		struct qc_err err;
		uint8_t *bytes;
		size_t length;

		if (extended && bits[i % 4] < 14)
			continue;
		b = rich_image(version, bits[i % 4], extended);
		builder_snapshot(b, "1", "s");
		builder_finish(b, &bytes, &length);
		assert_int_equal(check_bytes(bytes, length, &checked, &err), 0);
		assert_true(checked.result.completed);
		assert_int_equal(checked.result.findings, 0);
		assert_int_equal(checked.result.compressed_clusters, 3);
		builder_free(b);
	}
}

static void counters_are_of_the_active_state(void **state)
{
	struct builder *b = rich_image(3, 12, false);
	struct checked checked;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_snapshot(b, "1", "s");
	builder_unallocated(b, 0);
	builder_finish(b, &bytes, &length);
	assert_int_equal(check_bytes(bytes, length, &checked, &err), 0);
	assert_int_equal(checked.result.total_clusters, 256);
	assert_int_equal(checked.result.allocated_clusters, 3 + 1 + 3);
	assert_int_equal(checked.result.image_end_offset, qc_align_up(length, 4096));
	builder_free(b);
}

/* 4 million L1 entries for one full L2 table would be a trillion references, one by one. */
static void a_table_that_many_share_is_walked_once(void **state)
{
	static const uint8_t cluster[65536];
	struct builder_options options = builder_defaults();
	struct checked checked;
	struct builder *b;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;
	uint64_t shared;

	(void)state;
	options.disk_bytes = UINT64_C(512) << 20;
	options.l1_slack = 4000000;
	b = builder_new(&options);
	builder_data(b, 0, cluster);
	builder_finish(b, &bytes, &length);
	shared = builder_peek64(b, builder_l1_entry_at(b, 0));
	for (uint64_t i = 1; i < 4000000; i++)
		builder_poke64(b, builder_l1_entry_at(b, i), shared);
	for (uint64_t i = 1; i < 8192; i++)
		builder_poke64(b, builder_l2_entry_at(b, i), builder_host_of(b, 0));
	assert_int_equal(check_bytes(bytes, length, &checked, &err), 0);
	assert_int_equal(checked.result.allocated_clusters, 8192 * UINT64_C(4000000));
	builder_free(b);
}

/* Whatever a field says: an answer, in bounded time and memory (the sanitizers watch). */
static void no_single_field_makes_the_check_fail_to_answer(void **state)
{
	static const uint64_t values[] = {0,
					  1,
					  511,
					  512,
					  4096,
					  0x10000,
					  UINT64_C(1) << 32,
					  UINT64_C(1) << 55,
					  UINT64_C(1) << 62,
					  INT64_MAX,
					  UINT64_C(1) << 63,
					  UINT64_MAX,
					  UINT64_MAX - 4095};
	struct builder *b = rich_image(3, 12, false);
	struct checked checked;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_bitmap(b, "b", 16, 0);
	builder_snapshot(b, "1", "s");
	builder_finish(b, &bytes, &length);
	for (uint64_t at = 0; at + 8 <= length; at += 8) {
		uint64_t kept = builder_peek64(b, at);

		if (at >= 512 && kept == 0 && at % 512 != 0)
			continue;
		if (kept == UINT64_C(0x5a5a5a5a5a5a5a5a))
			continue;
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			builder_poke64(b, at, i % 2 ? kept ^ values[i] : values[i]);
			if (check_bytes(bytes, length, &checked, &err) == 0)
				assert_true(checked.result.completed
					    || checked.result.check_errors > 0);
		}
		builder_poke64(b, at, kept);
	}
	builder_free(b);
}

static void what_is_no_image_is_an_error(void **state)
{
	struct checked checked;
	struct qc_err err;

	(void)state;
	assert_int_equal(check_bytes("QFI", 3, &checked, &err), -QC_E_FORMAT);
	assert_int_equal(check_bytes("", 0, &checked, &err), -QC_E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_builder_makes_is_clean),
		cmocka_unit_test(counters_are_of_the_active_state),
		cmocka_unit_test(a_table_that_many_share_is_walked_once),
		cmocka_unit_test(no_single_field_makes_the_check_fail_to_answer),
		cmocka_unit_test(what_is_no_image_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
