// SPDX-License-Identifier: MIT
/*
 * Whoever made the file can have made its journal too, digests included: to settle one takes no longer
 * than the file is worth. Measured in processor time, and for files that are sparse.
 */
#include "unit/txn/forged_journal.h"
#include "unit/txn/places.h"
#include "unit/txn/seconds.h"

#include "txn/recover.h"
#include "txn/redo.h"

#define CLUSTER (UINT64_C(1) << 16)
#define FILE_BYTES (UINT64_C(1) << 40)
#define RECORDS 4000u

/* A record for each number. */
typedef void make_record(uint64_t number, struct qc_journal_record *ret);

/* An image in a file that long, which ends in a journal whose sectors differ from sector 0 in those bits. */
static struct qc_file *image_with(struct builder *take_builder, uint64_t file_bytes,
				  const struct qc_journal_head *differ, make_record *make,
				  uint64_t records)
{
	struct qc_journal_record *list = test_calloc((size_t)records, sizeof(*list));
	struct qc_journal_head head = *differ;
	struct qc_file *file;
	uint8_t *image;
	size_t length;

	builder_data(take_builder, 0, filled(0x77));
	builder_finish(take_builder, &image, &length);
	file = far_file(image, length);
	for (size_t i = 0; i < QC_SECTOR_BYTES; i++) {
		head.before[i] ^= image[i];
		head.after[i] ^= image[i];
	}
	head.cluster_bits = 16;
	head.records = records;
	head.file_bytes_before = length;
	head.file_bytes_after = journal_start(file_bytes, records);
	for (uint64_t i = 0; i < records; i++)
		make(i, &list[i]);
	put_journal(file, file_bytes, &head, list);
	builder_free(take_builder);
	test_free(list);
	return file;
}

/* Looks, settles, and compares what it took with what it may take. */
static void assert_settled_in_time(struct qc_file *file, enum qc_recover_state state)
{
	struct qc_file *guard = guard_file_open(file, file);
	double start = seconds_now();
	struct qc_recover_plan plan;
	struct qc_err err;

	assert_int_equal(qc_recover_look(guard, &plan, &err), 0);
	assert_string_equal(qc_recover_state_id(plan.state), qc_recover_state_id(state));
	if (qc_recover_apply(guard, &plan, &err) < 0)
		fail_msg("%s", err.text);
	assert_in_time(start);
	end_guard(guard);
	assert_guest(file, 0, filled(0x77), CLUSTER);
	qc_file_close(file);
}

/* --- runs that are given back --- */

static void free_all(uint64_t number, struct qc_journal_record *ret)
{
	(void)number;
	*ret = (struct qc_journal_record){
		.kind = QC_JOURNAL_FREED,
		.old_host = qc_host(CLUSTER),
		.length = FILE_BYTES - CLUSTER,
	};
}

static void runs_over_the_whole_file_over_and_over_are_given_back_in_time(void **state)
{
	struct qc_journal_head committed = {0};

	(void)state;
	committed.before[PADDING_AT] = 1;
	assert_settled_in_time(image_with(builder_new(NULL), FILE_BYTES, &committed, free_all,
					  RECORDS),
			       QC_RECOVER_COMMITTED);
}

/* --- tables that are compared with their digests --- */

static uint64_t digest_of_zeroes(uint64_t bytes)
{
	static uint64_t digest, known;
	uint8_t *zeroes;

	if (known == bytes)
		return digest;
	zeroes = calloc(1, (size_t)bytes);
	assert_non_null(zeroes);
	digest = XXH64(zeroes, (size_t)bytes, 0);
	known = bytes;
	free(zeroes);
	return digest;
}

static void table_of_zeroes(uint64_t at, uint64_t bytes, struct qc_journal_record *ret)
{
	*ret = (struct qc_journal_record){
		.kind = QC_JOURNAL_L2,
		.new_host = qc_host(at),
		.length = bytes,
		.digest = digest_of_zeroes(bytes),
	};
}

static void long_table_here(uint64_t number, struct qc_journal_record *ret)
{
	(void)number;
	table_of_zeroes(FILE_BYTES / 2, QC_L1_BYTES_MAX, ret);
}

static void long_table_anywhere(uint64_t number, struct qc_journal_record *ret)
{
	table_of_zeroes(FILE_BYTES / 2 + number * QC_L1_BYTES_MAX, QC_L1_BYTES_MAX, ret);
}

static void cluster_anywhere(uint64_t number, struct qc_journal_record *ret)
{
	table_of_zeroes(FILE_BYTES / 2 + number * CLUSTER, CLUSTER, ret);
}

/* Sector 0 is as if torn between the two, and sound: the new tables are looked at. */
static void set_torn(struct qc_journal_head *ret)
{
	*ret = (struct qc_journal_head){0};
	ret->before[PADDING_AT] = 1;
	add_backing(ret->after, "base");
}

static void tables_of_holes_are_judged_in_time(void **state)
{
	struct qc_journal_head torn;

	(void)state;
	set_torn(&torn);
	assert_settled_in_time(image_with(builder_new(NULL), FILE_BYTES, &torn, long_table_here,
					  RECORDS),
			       QC_RECOVER_STALE);
	assert_settled_in_time(image_with(builder_new(NULL), FILE_BYTES, &torn, long_table_anywhere,
					  RECORDS),
			       QC_RECOVER_STALE);
}

/* A file system may make a hole of a cluster of zeroes that was written. */
static void a_table_of_zeroes_may_be_a_hole(void **state)
{
	struct qc_journal_head torn;

	(void)state;
	set_torn(&torn);
	assert_settled_in_time(image_with(builder_new(NULL), FILE_BYTES, &torn, cluster_anywhere,
					  RECORDS),
			       QC_RECOVER_DOUBTFUL);
}

/* --- clusters that are written to the data file --- */

#define REDO_AT (UINT64_C(16) * CLUSTER)
#define REDO_FILE_BYTES (UINT64_C(20) * CLUSTER)

static void redo_the_same_cluster(uint64_t number, struct qc_journal_record *ret)
{
	*ret = (struct qc_journal_record){
		.kind = QC_JOURNAL_DATA,
		.index = number,
		.new_host = qc_host(REDO_AT),
		.length = CLUSTER,
		.digest = digest_of_zeroes(CLUSTER),
	};
}

/* What a journal has the data file filled with is no more than the image's own file holds. */
static void one_cluster_cannot_be_redone_all_over_the_data_file(void **state)
{
	const size_t features = offsetof(struct qc_disk_header, incompatible_features) + 7;
	struct qc_journal_head marked = {0};

	(void)state;
	marked.before[features] = QC_INCOMPAT_CORRUPT;
	for (uint64_t many = 0; many < 2; many++) {
		struct builder_options o = builder_defaults();
		struct qc_recover_plan plan;
		struct qc_file *file;
		struct builder *b;
		struct qc_err err;

		o.incompatible = QC_INCOMPAT_DATA_FILE | QC_INCOMPAT_CORRUPT;
		o.disk_bytes = 1000 * CLUSTER;
		b = builder_new(&o);
		builder_extension(b, QC_EXTENSION_DATA_FILE, "data", 4);
		file = image_with(b, REDO_FILE_BYTES, &marked, redo_the_same_cluster,
				  many ? 100 : 10);
		assert_int_equal(qc_recover_look(file, &plan, &err), 0);
		assert_int_equal(plan.state, QC_RECOVER_REDO);
		assert_int_equal(qc_redo_verify(file, &plan.journal, &err),
				 many ? -QC_E_FORMAT : 0);
		qc_file_close(file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_over_the_whole_file_over_and_over_are_given_back_in_time),
		cmocka_unit_test(tables_of_holes_are_judged_in_time),
		cmocka_unit_test(a_table_of_zeroes_may_be_a_hole),
		cmocka_unit_test(one_cluster_cannot_be_redone_all_over_the_data_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
