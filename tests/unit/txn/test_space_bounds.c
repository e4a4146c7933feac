// SPDX-License-Identifier: MIT
/* Where a transaction may write in images whose tables are long, cut short or lead far beyond the file. */
#include "unit/txn/operations.h"
#include "unit/txn/places.h"
#include "unit/txn/seconds.h"
#include "unit/txn/watch.h"

#include "txn/forest.h"
#include "txn/space.h"
#include "txn/txn_state.h"
#include "txn/walk.h"

#define CLUSTER UINT64_C(512)

/* --- the header --- */

static void the_header_is_never_free_whatever_its_count_says(void **state)
{
	const struct qc_txn_options trusting = {.trust_refcounts = true};
	struct builder *b = small_clusters(4, 64 << 10);
	struct qc_file *file;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_data(b, 0, filled(1));
	builder_finish(b, &bytes, &length);
	builder_poke_refcount(b, 0, 0);
	file = copy_of(bytes, length);
	assert_refuses(file, do_write, NULL, QC_E_FORMAT);
	if (run_operation(file, do_write, &trusting, &err) < 0)
		fail_msg("%s", err.text);
	assert_guest(file, 0, filled(1), 10);
	assert_guest(file, 10, filled(0x31), 50);
	qc_file_close(file);
	builder_free(b);
}

/* --- references far beyond the end of the file --- */

struct far {
	uint64_t target;
	unsigned int looks;
};

/* Whatever was written so far is there: the cluster that an entry leads to must not be. */
static int look_at_target(struct watch *w, unsigned int number, struct qc_err *err)
{
	struct far *far = w->context;
	uint8_t bytes[CLUSTER];

	(void)number;
	assert_int_equal(qc_file_read(w->inner, far->target, bytes, sizeof(bytes), err), 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		if (bytes[i] != 0)
			fail_msg("the cluster at 0x%llx was written to",
				 (unsigned long long)far->target);
	far->looks++;
	return 0;
}

/* As a repair finds its space, which alone takes an image that refers to what has no count. */
static int write_clusters(struct qc_file *file, uint64_t count, struct qc_err *err)
{
	const struct qc_txn_options options = {.repair = true};
	struct qc_file *guard = guard_file_open(file, file);
	struct qc_txn_report report;
	struct qc_image *image;
	struct qc_txn *txn;
	uint8_t bytes[CLUSTER];
	int status = 0;

	memset(bytes, 7, sizeof(bytes));
	assert_int_equal(qc_image_open(guard, NULL, &image, err), 0);
	assert_int_equal(qc_txn_begin(image, NULL, &options, &txn, err), 0);
	for (uint64_t i = 8; status == 0 && i < count + 8; i++)
		status = qc_txn_write(txn, qc_guest(i * CLUSTER), bytes, sizeof(bytes), err);
	if (status == 0)
		status = qc_txn_commit(txn, &report, err);
	else
		qc_txn_abort(txn);
	qc_image_close(image);
	end_guard(guard);
	return status;
}

static void nothing_is_written_where_an_entry_leads_far_beyond_the_file(void **state)
{
	const uint64_t least = 3900, most = 4300;
	struct builder *b = small_clusters(4, (most + 8) * CLUSTER);
	struct far far = {0};
	unsigned int refused = 0, done = 0;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_data(b, 0, filled(1));
	builder_data(b, 1, filled(2));
	builder_finish(b, &bytes, &length);
	far.target = length + 4200 * CLUSTER;
	builder_poke64(b, builder_l2_entry_at(b, 1), QC_L2_COPIED | far.target);
	for (uint64_t count = least; count < most; count += 3) {
		struct qc_file *file = copy_of(bytes, length);
		struct qc_err err;
		struct watch w;
		int status;

		watch_open(&w, file);
		w.at_sync = look_at_target;
		w.context = &far;
		status = write_clusters(&w.base, count, &err);
		if (status < 0) {
			assert_int_equal(status, -QC_E_NO_SPACE);
			assert_true(same_file(file, bytes, length));
			refused++;
		} else {
			done++;
		}
		qc_file_close(file);
	}
	assert_true(refused > 10 && done > 10 && far.looks > 20);
	builder_free(b);
}

/* --- what only a broken entry leads to --- */

/* Lower than all that is free, and without a count; readers that pass over the reserved bits find it. */
static void what_broken_bitmap_table_entries_lead_to_is_not_given_out(void **state)
{
	static const uint64_t wrong[] = {2, 0x1fe, UINT64_C(0xff) << 56, QC_BITMAP_TABLE_RESERVED,
					 QC_BITMAP_TABLE_ALL_ONES};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct builder *b = small_clusters(4, 64 << 10);
		struct qc_file *file;
		struct qc_err err;
		uint8_t *bytes;
		uint64_t at, part;
		size_t length;

		builder_data(b, 0, filled(1));
		builder_bitmap(b, "kept", 9, 0);
		builder_finish(b, &bytes, &length);
		at = builder_bitmap_entry_at(b);
		part = builder_peek64(b, at);
		builder_poke64(b, at, part | wrong[i]);
		builder_poke_refcount(b, part / CLUSTER, 0);
		for (uint64_t cluster = 0; cluster < part / CLUSTER; cluster++)
			assert_int_not_equal(builder_refcount(b, cluster), 0);
		file = copy_of(bytes, length);
		if (write_clusters(file, 20, &err) < 0)
			fail_msg("%s", err.text);
		assert_memory_equal(qc_file_mem_bytes(file) + part, bytes + part, CLUSTER);
		assert_guest(file, 8 * CLUSTER, filled(7), 20 * CLUSTER);
		qc_file_close(file);
		builder_free(b);
	}
}

/* --- tables that the end of the file cuts --- */

struct met {
	uint64_t cluster[64];
	size_t count;
};

static int meet(void *context, uint64_t first, uint64_t count, struct qc_err *err)
{
	struct met *met = context;

	(void)count, (void)err;
	assert_true(met->count < 64);
	met->cluster[met->count++] = first;
	return 0;
}

static bool has_met(const struct met *met, uint64_t cluster)
{
	for (size_t i = 0; i < met->count; i++)
		if (met->cluster[i] == cluster)
			return true;
	return false;
}

/* Readers take the bytes of a word that are past the end for zeroes. */
static void a_word_that_the_end_of_the_file_cuts_is_read_as_readers_do(void **state)
{
	const uint64_t words = 4096 / 8; /* that a walk may read at a time */
	struct builder *b = small_clusters(4, 2 * words * 64 * CLUSTER);
	struct met met = {0};
	struct qc_walk_sink sink = {.take = meet, .context = &met};
	struct qc_image *image;
	struct qc_file *file;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_finish(b, &bytes, &length);
	file = copy_of(bytes, length);
	put_word(file, builder_header_field(l1_table_offset), length);
	put_word(file, length + 8, QC_L1_COPIED | 7 * CLUSTER);
	assert_int_equal(qc_file_write(file, length + (words + 1) * 8, "\x80\0\0\x01", 4, &err), 0);
	assert_int_equal(qc_image_open(file, NULL, &image, &err), 0);
	assert_int_equal(qc_walk_references(image, &sink, &err), 0);
	assert_true(has_met(&met, 7));
	assert_true(has_met(&met, (UINT64_C(1) << 32) / CLUSTER));
	assert_false(has_met(&met, (UINT64_C(1) << 32) / CLUSTER + 7));
	qc_image_close(image);
	qc_file_close(file);
	builder_free(b);
}

/* --- L1 tables that are long, and many --- */

/* An image of which each snapshot has an L1 table of so many words, `step` bytes behind the last one. */
static struct qc_file *with_l1_tables(uint32_t cluster_bits, uint32_t count, uint32_t words,
				      uint64_t step, uint64_t file_bytes)
{
	struct builder_options o = builder_defaults();
	size_t entry_bytes = sizeof(struct qc_disk_snapshot);
	struct qc_disk_snapshot *table = calloc(count, entry_bytes);
	struct builder *b;
	struct qc_file *file;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;
	uint64_t at;

	assert_non_null(table);
	o.cluster_bits = cluster_bits;
	b = builder_new(&o);
	builder_data(b, 0, filled(1));
	builder_finish(b, &bytes, &length);
	at = qc_align_up(length + count * entry_bytes, UINT64_C(1) << cluster_bits);
	for (uint32_t i = 0; i < count; i++) {
		table[i].l1_table_offset = qc_be64_make(at + i * step);
		table[i].l1_size = qc_be32_make(words);
	}
	file = far_file(bytes, length);
	assert_int_equal(qc_file_write(file, length, table, count * entry_bytes, &err), 0);
	put_word(file, builder_header_field(snapshots_offset), length);
	qc_store_be32(table, count);
	assert_int_equal(qc_file_write(file, builder_header_field(nb_snapshots), table, 4, &err),
			 0);
	assert_int_equal(qc_file_resize(file, file_bytes, &err), 0);
	builder_free(b);
	free(table);
	return file;
}

/* As a repair opens it. */
static void assert_walked_in_time(struct qc_file *file)
{
	double start = seconds_now();
	struct qc_space space;
	struct qc_image *image;
	struct qc_err err;

	assert_int_equal(qc_image_open(file, &qc_findings_unheard, &image, &err), 0);
	if (qc_space_init(&space, image, QC_SPACE_UNION, NULL, &err) < 0)
		fail_msg("%s", err.text);
	assert_in_time(start);
	qc_space_clear(&space);
	qc_image_close(image);
	qc_file_close(file);
}

static void l1_tables_in_each_others_place_are_walked_in_time(void **state)
{
	(void)state;
	assert_walked_in_time(
		with_l1_tables(9, QC_SNAPSHOTS_MAX, UINT32_MAX, CLUSTER, UINT64_C(1) << 35));
	assert_walked_in_time(with_l1_tables(9, QC_SNAPSHOTS_MAX, QC_L1_BYTES_MAX / 8, CLUSTER,
					     UINT64_C(1) << 30));
}

static void l1_tables_that_are_holes_are_walked_in_time(void **state)
{
	(void)state;
	assert_walked_in_time(
		with_l1_tables(16, 16384, QC_L1_BYTES_MAX / 8, QC_L1_BYTES_MAX, UINT64_C(1) << 39));
}

/* --- all trees at once --- */

/* As many snapshots as there can be, without any table, beside a disk as long as it can be. */
static void trees_of_many_snapshots_and_a_long_disk_are_searched_in_time(void **state)
{
	const struct qc_txn_options trusting = {.trust_refcounts = true};
	const uint64_t file_bytes = UINT64_C(1) << 30;
	struct qc_file *file = with_l1_tables(9, QC_SNAPSHOTS_MAX, 0, 0, file_bytes);
	struct qc_file *guard = guard_file_open(file, file);
	struct qc_forest_extent *extents;
	struct qc_image *image;
	struct qc_txn *txn;
	struct qc_err err;
	uint8_t entries[4];
	double start;
	size_t count;

	(void)state;
	put_word(file, builder_header_field(l1_table_offset), file_bytes / 2);
	qc_store_be32(entries, QC_L1_BYTES_MAX / 8);
	assert_int_equal(qc_file_write(file, builder_header_field(l1_size), entries, 4, &err), 0);
	start = seconds_now();
	assert_int_equal(qc_image_open(guard, &qc_findings_unheard, &image, &err), 0);
	assert_int_equal(qc_txn_begin(image, NULL, &trusting, &txn, &err), 0);
	assert_int_equal(qc_forest_open(txn, 0, UINT64_MAX, UINT64_MAX, &err), 0);
	assert_int_equal(qc_forest_next(txn, &extents, &count, &err), 0);
	assert_int_equal(count, 0);
	qc_txn_abort(txn);
	qc_image_close(image);
	end_guard(guard);
	qc_file_close(file);
	assert_in_time(start);
}

/* --- the end of the new state --- */

static void looking_for_the_end_takes_no_memory_for_blocks_that_are_not_there(void **state)
{
	const struct qc_txn_options options = {0};
	struct builder *b = small_clusters(6, 64 << 10);
	struct qc_file *file, *guard;
	struct qc_image *image;
	struct qc_txn *txn;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;
	uint64_t end;

	(void)state;
	builder_data(b, 0, filled(1));
	builder_finish(b, &bytes, &length);
	file = copy_of(bytes, length);
	guard = guard_file_open(file, file);
	assert_int_equal(qc_image_open(guard, NULL, &image, &err), 0);
	assert_int_equal(qc_txn_begin(image, NULL, &options, &txn, &err), 0);
	assert_int_equal(qc_txn_need_space(txn, &err), 0);
	assert_int_equal(qc_refs_end(&txn->refs, QC_SPACE_CLUSTERS_MAX, &end, &err), 0);
	assert_int_equal(end, length / CLUSTER);
	assert_true(txn->refs.blocks.count < 10);
	qc_txn_abort(txn);
	qc_image_close(image);
	end_guard(guard);
	qc_file_close(file);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_is_never_free_whatever_its_count_says),
		cmocka_unit_test(nothing_is_written_where_an_entry_leads_far_beyond_the_file),
		cmocka_unit_test(what_broken_bitmap_table_entries_lead_to_is_not_given_out),
		cmocka_unit_test(a_word_that_the_end_of_the_file_cuts_is_read_as_readers_do),
		cmocka_unit_test(l1_tables_in_each_others_place_are_walked_in_time),
		cmocka_unit_test(l1_tables_that_are_holes_are_walked_in_time),
		cmocka_unit_test(trees_of_many_snapshots_and_a_long_disk_are_searched_in_time),
		cmocka_unit_test(looking_for_the_end_takes_no_memory_for_blocks_that_are_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
