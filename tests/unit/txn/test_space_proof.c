// SPDX-License-Identifier: MIT
/* Images whose counts do not add up are refused before anything depends on them; hostile ones quickly. */
#include "unit/txn/operations.h"
#include "unit/txn/places.h"
#include "unit/txn/seconds.h"
#include "unit/txn/watch.h"

#include "txn/space.h"
#include "txn/verify.h"

#define CLUSTER UINT64_C(512)

/* --- refcounts that are too low --- */

static int discard_one(struct qc_txn *txn, struct qc_err *err)
{
	return qc_txn_discard(txn, qc_guest(0), CLUSTER, err);
}

static int discard_two(struct qc_txn *txn, struct qc_err *err)
{
	return qc_txn_discard(txn, qc_guest(0), 2 * CLUSTER, err);
}

/*
 * The image with one reference to that host cluster not counted: each of the operations is refused. With
 * all of them counted each is allowed.
 */
static void assert_needs_count(struct builder *b, uint64_t host_byte, uint64_t references,
			       operation *const *edits, size_t edit_count)
{
	uint64_t cluster = host_byte / CLUSTER;
	uint8_t *bytes;
	size_t length;

	builder_finish(b, &bytes, &length);
	assert_int_equal(builder_refcount(b, cluster), references);
	for (size_t i = 0; i < 2 * edit_count; i++) {
		struct qc_file *file;

		builder_poke_refcount(b, cluster, references - i % 2);
		file = copy_of(bytes, length);
		if (i % 2)
			assert_refuses(file, edits[i / 2], NULL, QC_E_FORMAT);
		else
			assert_allows(file, edits[i / 2]);
		qc_file_close(file);
	}
	builder_free(b);
}

static operation *const all_edits[] = {
	do_write, discard_one, do_grow, do_snapshot_apply, do_snapshot_create, do_snapshot_delete,
};

#define ALL_EDITS all_edits, sizeof(all_edits) / sizeof(all_edits[0])

static struct builder *with_snapshot(void)
{
	struct builder *b = small_clusters(4, 64 << 10);

	builder_data(b, 0, filled(1));
	builder_data(b, 1, filled(2));
	builder_snapshot(b, "1", "one");
	return b;
}

static void a_data_cluster_shared_with_a_snapshot_needs_a_count_of_2(void **state)
{
	struct builder *b = with_snapshot();

	(void)state;
	builder_data(b, 1, filled(3)); /* so that there are two L2 tables that lead to cluster 0 */
	assert_needs_count(b, builder_host_of(b, 0), 2, ALL_EDITS);
}

static void an_l2_table_shared_with_a_snapshot_needs_a_count_of_2(void **state)
{
	struct builder *b = with_snapshot();
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_finish(b, &bytes, &length);
	for (size_t i = 0; i < sizeof(all_edits) / sizeof(all_edits[0]); i++) {
		struct qc_file *file = copy_of(bytes, length);
		uint64_t table = l1_word(file, 0) & QC_L1_OFFSET_MASK;

		assert_int_equal(refcount_of(file, table), 2);
		assert_allows(file, all_edits[i]);
		qc_file_close(file);
		builder_poke_refcount(b, table / CLUSTER, 1);
		file = copy_of(bytes, length);
		assert_refuses(file, all_edits[i], NULL, QC_E_FORMAT);
		qc_file_close(file);
		builder_poke_refcount(b, table / CLUSTER, 2);
	}
	builder_free(b);
}

static uint64_t compressed_host(struct builder *b, uint64_t guest_cluster)
{
	/* 512-byte clusters: 61 bits of offset */
	return builder_peek64(b, builder_l2_entry_at(b, guest_cluster)) & ((UINT64_C(1) << 61) - 1)
	       & ~(CLUSTER - 1);
}

/* Packed compressed clusters 0 .. count-1, uncounted by one in the host cluster that they share. */
static void check_packed(uint64_t count, operation *const *edits, size_t edit_count)
{
	struct builder *b = small_clusters(4, 64 << 10);
	uint8_t *bytes;
	size_t length;
	uint64_t host;

	builder_data(b, 20, filled(1)); /* the L2 table comes first */
	for (uint64_t i = 0; i < count; i++)
		builder_compressed(b, i, filled((uint8_t)(i + 1)));
	builder_finish(b, &bytes, &length);
	host = compressed_host(b, 0);
	assert_int_equal(compressed_host(b, count - 1), host);
	assert_int_equal(builder_refcount(b, host / CLUSTER), count);
	for (size_t i = 0; i < 2 * edit_count; i++) {
		struct qc_file *file;

		builder_poke_refcount(b, host / CLUSTER, count - i % 2);
		file = copy_of(bytes, length);
		if (i % 2)
			assert_refuses(file, edits[i / 2], NULL, QC_E_FORMAT);
		else
			assert_allows(file, edits[i / 2]);
		qc_file_close(file);
	}
	builder_free(b);
}

static void compressed_clusters_that_share_one_need_a_count_each(void **state)
{
	static operation *const edits[] = {do_write, discard_one, do_snapshot_create};

	(void)state;
	check_packed(2, edits, 3);
}

/* A count of 2 for three of them looks harmless until two of them go at once. */
static void a_count_above_1_that_would_reach_0_too_early_is_found(void **state)
{
	static operation *const edits[] = {discard_two};

	(void)state;
	check_packed(3, edits, 1);
}

/* --- trusted refcounts --- */

static void a_trusted_count_of_0_that_is_found_out_is_refused(void **state)
{
	static operation *const edits[] = {do_write, discard_one};
	const struct qc_txn_options trusting = {.trust_refcounts = true};
	struct builder *b = small_clusters(4, 64 << 10);
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_data(b, 0, filled(1));
	builder_data(b, 1, filled(2));
	builder_finish(b, &bytes, &length);
	for (size_t i = 0; i < 2; i++) {
		struct qc_file *file = copy_of(bytes, length);

		assert_int_equal(run_operation(file, edits[i], &trusting, &err), 0);
		assert_sound(file);
		qc_file_close(file);
	}
	/* The lowest free cluster, as far as the counts say: it is handed out first. */
	builder_poke_refcount(b, builder_host_of(b, 0) / CLUSTER, 0);
	for (size_t i = 0; i < 2; i++) {
		struct qc_file *file = copy_of(bytes, length);

		assert_refuses(file, edits[i], &trusting, QC_E_FORMAT);
		assert_refuses(file, edits[i], NULL, QC_E_FORMAT);
		qc_file_close(file);
	}
	builder_free(b);
}

/* --- hostile refcount tables --- */

/* 2 MiB clusters, and an 8 MiB refcount table all of whose words name one block. */
static struct qc_file *table_of_one_block(uint32_t refcount_order, uint64_t file_bytes)
{
	struct builder_options o = builder_defaults();
	const uint64_t words = 1 << 20;
	uint8_t *bytes, *table = malloc(words * 8);
	struct qc_file *file;
	struct builder *b;
	struct qc_err err;
	uint64_t block;
	size_t length;

	assert_non_null(table);
	o.cluster_bits = 21;
	o.refcount_order = refcount_order;
	b = builder_new(&o);
	builder_data(b, 0, filled(1));
	builder_finish(b, &bytes, &length);
	file = file_bytes > 0 ? far_file(bytes, length) : copy_of(bytes, length);
	block = builder_refcount_block_at(b, 0);
	for (uint64_t i = 0; i < words; i++)
		qc_store_be64(table + i * 8, block);
	assert_int_equal(qc_file_write(file, length, table, words * 8, &err), 0);
	put_word(file, builder_header_field(refcount_table_offset), length);
	qc_store_be32(table, 4);
	assert_int_equal(qc_file_write(file, builder_header_field(refcount_table_clusters), table,
				       4, &err),
			 0);
	if (file_bytes > file->bytes)
		assert_int_equal(qc_file_resize(file, file_bytes, &err), 0);
	builder_free(b);
	free(table);
	return file;
}

static void assert_done_in_time(uint32_t refcount_order, uint64_t file_bytes)
{
	struct qc_file *file = table_of_one_block(refcount_order, file_bytes);
	double start = seconds_now();
	uint8_t sector[QC_SECTOR_BYTES];
	struct qc_verdict verdict;
	struct qc_err err;

	assert_int_equal(run_operation(file, do_write, &(struct qc_txn_options){0}, &err),
			 -QC_E_FORMAT);
	assert_int_equal(qc_file_read(file, 0, sector, sizeof(sector), &err), 0);
	assert_int_equal(qc_verify_sector(file, sector, 0, 0, &verdict, &err), 0);
	assert_false(verdict.sound);
	assert_in_time(start);
	qc_file_close(file);
}

static void a_refcount_table_that_names_one_block_over_and_over_is_refused_in_time(void **state)
{
	(void)state;
	assert_done_in_time(4, 0);
	assert_done_in_time(6, 0);
}

static void so_it_is_in_a_long_sparse_file(void **state)
{
	(void)state;
	assert_done_in_time(4, UINT64_C(1) << 35);
	assert_done_in_time(6, UINT64_C(1) << 40);
}

/* --- interruption --- */

static volatile sig_atomic_t stop;

static void stop_at_read(struct watch *w, unsigned int number)
{
	const unsigned int *at = w->context;

	if (number == *at)
		stop = 1;
}

/* Stopped at any read of the proof, it ends there and then. */
static void the_proof_can_be_interrupted_at_any_time(void **state)
{
	struct builder *b = with_snapshot();
	unsigned int at, interrupted = 0;
	uint8_t *bytes;
	size_t length;
	int status = -1;

	(void)state;
	builder_data(b, 1, filled(3));
	builder_finish(b, &bytes, &length);
	for (at = 0; status != 0; at++) {
		struct qc_file *file = copy_of(bytes, length);
		struct qc_space space;
		struct qc_image *image;
		struct watch w;
		struct qc_err err;

		watch_open(&w, file);
		stop = 0;
		assert_int_equal(qc_image_open(&w.base, NULL, &image, &err), 0);
		w.reads = 0;
		w.at_read = stop_at_read;
		w.context = &at;
		status = qc_space_init(&space, image, QC_SPACE_PROVE, &stop, &err);
		if (status < 0) {
			assert_int_equal(status, -QC_E_INTERRUPTED);
			assert_true(w.reads <= at + 2);
			interrupted++;
		} else {
			assert_true(at >= w.reads);
			qc_space_clear(&space);
		}
		qc_image_close(image);
		qc_file_close(file);
	}
	assert_true(interrupted >= 5);
	builder_free(b);
}

static void an_interrupted_transaction_changes_nothing(void **state)
{
	const struct qc_txn_options options = {.stop = &stop};
	struct builder *b = with_snapshot();
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_finish(b, &bytes, &length);
	stop = 1;
	for (size_t i = 0; i < sizeof(all_edits) / sizeof(all_edits[0]); i++) {
		struct qc_file *file = copy_of(bytes, length);

		assert_refuses(file, all_edits[i], &options, QC_E_INTERRUPTED);
		qc_file_close(file);
	}
	stop = 0;
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_data_cluster_shared_with_a_snapshot_needs_a_count_of_2),
		cmocka_unit_test(an_l2_table_shared_with_a_snapshot_needs_a_count_of_2),
		cmocka_unit_test(compressed_clusters_that_share_one_need_a_count_each),
		cmocka_unit_test(a_count_above_1_that_would_reach_0_too_early_is_found),
		cmocka_unit_test(a_trusted_count_of_0_that_is_found_out_is_refused),
		cmocka_unit_test(
			a_refcount_table_that_names_one_block_over_and_over_is_refused_in_time),
		cmocka_unit_test(so_it_is_in_a_long_sparse_file),
		cmocka_unit_test(the_proof_can_be_interrupted_at_any_time),
		cmocka_unit_test(an_interrupted_transaction_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
