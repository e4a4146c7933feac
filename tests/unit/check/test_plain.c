// SPDX-License-Identifier: MIT
/* Tables that are counted by several threads: whatever is in them, the result is that of one thread. */
#include "unit/check/fixture.h"

#include <stdlib.h>

#include "format/l2_entry.h"

#define TABLES 40u /* of 64 KiB, so that more than one thread is worth it */
#define PER_TABLE 8192u
#define FINDINGS_MAX 400u

/* All that a check says, in its order. */
struct said {
	struct qc_check_result result;
	char messages[FINDINGS_MAX][128];
	unsigned int count;
};

static void take_message(void *context, const struct qc_finding *finding)
{
	struct said *said = context;

	assert_true(said->count < FINDINGS_MAX);
	snprintf(said->messages[said->count++], sizeof(said->messages[0]), "%u %s %.100s",
		 (unsigned int)finding->id, finding->snapshot ? finding->snapshot : "-",
		 finding->message);
}

static struct said *check_with(const uint8_t *bytes, size_t length, unsigned int jobs)
{
	struct said *said = calloc(1, sizeof(*said));
	const struct qc_check_options options = {.jobs = jobs};
	const struct qc_finding_sink sink = {take_message, said};
	struct qc_file *file;
	struct qc_err err;

	assert_non_null(said);
	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	assert_int_equal(qc_check_run(file, &options, &sink, &said->result, &err), 0);
	qc_file_close(file);
	return said;
}

/* Checks with one to five threads, which all have to say the same; that is returned. */
static struct said *check_alike(const uint8_t *bytes, size_t length)
{
	struct said *one = check_with(bytes, length, 1);

	for (unsigned int jobs = 2; jobs <= 5; jobs++) {
		struct said *more = check_with(bytes, length, jobs);

		assert_memory_equal(one, more, sizeof(*one));
		free(more);
	}
	return one;
}

/* Ten clusters in each table: a run of seven, one elsewhere, and a run that ends with the table. */
static struct builder *wide_image(uint32_t refcount_order)
{
	static const uint8_t cluster[65536] = {1};
	struct builder_options options = builder_defaults();
	struct builder *b;

	options.disk_bytes = (uint64_t)TABLES * PER_TABLE * sizeof(cluster);
	options.refcount_order = refcount_order;
	b = builder_new(&options);
	for (uint64_t t = 0; t < TABLES; t++) {
		for (uint64_t i = 0; i < 7; i++)
			builder_data(b, t * PER_TABLE + t + i, cluster);
		builder_data(b, t * PER_TABLE + 200, cluster);
		builder_data(b, t * PER_TABLE + PER_TABLE - 2, cluster);
		builder_data(b, t * PER_TABLE + PER_TABLE - 1, cluster);
	}
	return b;
}

static void sound_tables_are_counted_right(void **state)
{
	struct builder *b = wide_image(4);
	struct said *said;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_finish(b, &bytes, &length);
	said = check_alike(bytes, length);
	assert_true(said->result.completed);
	assert_int_equal(said->count, 0);
	assert_int_equal(said->result.allocated_clusters, TABLES * 10);
	free(said);
	builder_free(b);
}

/* One thing wrong in every third table, each of another kind. */
static void break_tables(struct builder *b)
{
	for (uint64_t t = 0; t < TABLES; t += 3) {
		uint64_t at = builder_l2_entry_at(b, t * PER_TABLE + 200);
		uint64_t entry = builder_peek64(b, at);

		switch (t / 3 % 7) {
		case 0: /* unaligned */
			builder_poke64(b, at, entry + 512);
			break;
		case 1: /* what another table has, too */
			builder_poke64(b, at,
				       builder_peek64(b, builder_l2_entry_at(b, PER_TABLE + 1)));
			break;
		case 2:
			builder_poke64(b, at, entry & ~QC_L2_COPIED);
			break;
		case 3: /* far outside */
			builder_poke64(b, at, QC_L2_COPIED | UINT64_C(1) << 40);
			break;
		case 4:
			builder_poke64(b, at, entry | 4);
			break;
		case 5:
			builder_poke_refcount(b, (entry & QC_L2_OFFSET_MASK) >> 16, 5);
			break;
		default: /* leaks */
			builder_poke64(b, at, 0);
		}
	}
}

static void damaged_tables_are_told_of_in_one_order(void **state)
{
	struct builder *b = wide_image(4);
	struct said *said;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_finish(b, &bytes, &length);
	break_tables(b);
	said = check_alike(bytes, length);
	assert_true(said->result.completed);
	assert_true(said->result.corruptions > 8);
	assert_true(said->result.leaks > 4);
	assert_true(said->count > 12);
	free(said);
	builder_free(b);
}

/* Forty plain tables that all refer to one cluster. */
static void a_cluster_that_all_tables_share_is_counted_as_often(void **state)
{
	struct builder *b = wide_image(4);
	uint64_t shared, host;
	struct said *said;
	uint8_t *bytes;
	size_t length;
	char expected[64];

	(void)state;
	builder_finish(b, &bytes, &length);
	shared = builder_peek64(b, builder_l2_entry_at(b, 200));
	for (uint64_t t = 1; t < TABLES; t++)
		builder_poke64(b, builder_l2_entry_at(b, t * PER_TABLE + 200), shared);
	said = check_alike(bytes, length);
	host = (shared & QC_L2_OFFSET_MASK) >> 16;
	snprintf(expected, sizeof(expected), "cluster %llu refcount=1 reference=%u",
		 (unsigned long long)host, TABLES);
	assert_non_null(strstr(said->messages[0], expected));
	assert_int_equal(said->result.corruptions, 1);
	assert_int_equal(said->result.leaks, TABLES - 1);
	free(said);
	builder_free(b);
}

/* With 1 bit a count, all but one of them are too many. */
static void references_that_no_count_can_hold_are_told(void **state)
{
	struct builder *b = wide_image(0);
	struct said *said;
	uint64_t shared;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_finish(b, &bytes, &length);
	shared = builder_peek64(b, builder_l2_entry_at(b, 200));
	for (uint64_t t = 1; t < TABLES; t++)
		builder_poke64(b, builder_l2_entry_at(b, t * PER_TABLE + 200), shared);
	said = check_alike(bytes, length);
	assert_int_equal(said->result.corruptions, TABLES - 1);
	assert_int_equal(said->result.leaks, TABLES - 1);
	free(said);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_tables_are_counted_right),
		cmocka_unit_test(damaged_tables_are_told_of_in_one_order),
		cmocka_unit_test(a_cluster_that_all_tables_share_is_counted_as_often),
		cmocka_unit_test(references_that_no_count_can_hold_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
