// SPDX-License-Identifier: MIT
#include "unit/image/fixture.h"

#include <signal.h>

#include "image/read.h"
#include "ops/hash.h"

#define MIB (UINT64_C(1) << 20)

/* Block after block, in one thread, with no idea of holes. */
static struct qc_digest hash_plainly(const struct qc_view *view)
{
	static uint8_t block[QC_HASH_BLOCK_BYTES];
	struct qc_hash_tree *tree;
	struct qc_digest digest;
	struct qc_err err;
	size_t bytes;

	assert_int_equal(qc_hash_tree_open(&tree, &err), 0);
	for (uint64_t at = 0; at < view->disk_bytes; at += bytes) {
		bytes = view->disk_bytes - at < sizeof(block) ? (size_t)(view->disk_bytes - at)
							      : sizeof(block);
		assert_int_equal(qc_read(view, qc_guest(at), block, bytes, &err), 0);
		digest = qc_digest_of(block, bytes);
		qc_hash_tree_add(tree, &digest, 1);
	}
	digest = qc_hash_tree_finish(tree, view->disk_bytes);
	qc_hash_tree_close(tree);
	return digest;
}

static int hash_with(struct fixture *f, unsigned int threads, struct qc_digest *ret)
{
	struct qc_view view;
	struct qc_hash hash = {.view = &view, .threads = threads};

	qc_view_active(&f->layer, &view);
	return qc_hash_view(&hash, ret, &f->err);
}

static void assert_hashes_plainly(struct fixture *f)
{
	static const unsigned int threads[] = {1, 2, 7};
	struct qc_digest expected, found;
	struct qc_view view;

	qc_view_active(&f->layer, &view);
	expected = hash_plainly(&view);
	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		if (hash_with(f, threads[i], &found) < 0)
			fail_msg("%s", f->err.text);
		assert_memory_equal(&found, &expected, sizeof(found));
	}
}

/* Data in strange places of a disk of an odd size, stored as the options say. */
static void hash_a_mixture(uint32_t cluster_bits, enum qc_compression compression)
{
	uint64_t cluster = UINT64_C(1) << cluster_bits;
	struct builder_options o = builder_defaults();
	struct builder *b;
	struct fixture f;

	o.cluster_bits = cluster_bits;
	o.compression = compression;
	o.disk_bytes = 9 * MIB + 5 * cluster + 77;
	b = builder_new(&o);
	builder_data(b, 1, filled(1));
	builder_zero_alloc(b, 2);
	builder_compressed(b, 3, filled(3));
	builder_compressed(b, 4, filled(4));
	builder_data(b, MIB * 4 / cluster, filled(5));
	builder_data(b, MIB * 4 / cluster + 1, filled(0));
	builder_data(b, o.disk_bytes / cluster, filled(9));
	fixture_open(&f, b);
	assert_hashes_plainly(&f);
	fixture_close(&f);
	builder_free(b);
}

static void the_hash_is_that_of_the_bytes_for_any_threads_and_any_format(void **state)
{
	(void)state;
	hash_a_mixture(9, QC_COMPRESSION_ZLIB);
	hash_a_mixture(12, QC_COMPRESSION_ZSTD);
	hash_a_mixture(16, QC_COMPRESSION_ZLIB);
	hash_a_mixture(21, QC_COMPRESSION_ZSTD);
}

static void sizes_around_the_borders_of_blocks_and_stretches_hash_right(void **state)
{
	static const uint64_t sizes[] = {0,
					 1,
					 262143,
					 262144,
					 262145,
					 64 * MIB,
					 64 * MIB - 1,
					 64 * MIB + 262144,
					 64 * MIB + 262145,
					 128 * MIB,
					 130 * MIB,
					 192 * MIB + 1};
	struct builder_options o = builder_defaults();

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct builder *b;
		struct fixture f;

		o.disk_bytes = sizes[i];
		b = builder_new(&o);
		if (sizes[i] > 128 * MIB)
			builder_data(b, 64 * MIB / 65536 + 3, filled(3));
		fixture_open(&f, b);
		assert_hashes_plainly(&f);
		fixture_close(&f);
		builder_free(b);
	}
}

/* A cluster of data in every other stretch, and more of these than are kept open at a time. */
static void a_disk_of_many_stretches_hashes_the_same_with_any_threads(void **state)
{
	struct builder_options o = builder_defaults();
	struct qc_digest first, found;
	struct builder *b;
	struct fixture f;

	(void)state;
	o.disk_bytes = 400 * QC_HASH_STRETCH_BYTES;
	b = builder_new(&o);
	for (uint64_t i = 0; i < 400; i += 2)
		builder_data(b, (i * 64 + i % 60) * MIB / 65536, filled((uint8_t)i));
	fixture_open(&f, b);
	assert_int_equal(hash_with(&f, 1, &first), 0);
	for (unsigned int threads = 2; threads < 9; threads++) {
		assert_int_equal(hash_with(&f, threads, &found), 0);
		assert_memory_equal(&found, &first, sizeof(found));
	}
	fixture_close(&f);
	builder_free(b);
}

static void the_lowest_failure_is_told_whatever_the_number_of_threads(void **state)
{
	struct builder_options o = builder_defaults();
	struct qc_digest untouched;
	struct builder *b;
	struct fixture f;
	uint8_t *bytes;
	size_t length;

	(void)state;
	o.disk_bytes = 64 * MIB;
	b = builder_new(&o);
	for (uint64_t i = 0; i < 64; i++)
		builder_data(b, i * 16, filled((uint8_t)i));
	builder_compressed(b, 40 * 16 + 1, filled(1));
	builder_finish(b, &bytes, &length);
	/* A stream that is broken in front of an entry that makes no sense: one a thread finds. */
	builder_poke64(b, builder_l2_entry_at(b, 50 * 16), UINT64_C(0x0100000000000000));
	for (unsigned int threads = 1; threads < 9; threads++) {
		assert_int_equal(fixture_reopen(&f, bytes, length), 0);
		f.layer.disk_bytes = o.disk_bytes;
		assert_int_equal(hash_with(&f, threads, &untouched), -QC_E_FORMAT);
		assert_non_null(strstr(f.err.text, "guest offset 0x3200000"));
		fixture_close(&f);
	}
	/* zlib's first block type, 3, does not exist */
	bytes[builder_peek64(b, builder_l2_entry_at(b, 40 * 16 + 1)) & 0x3fffffffffffff] = 0xff;
	for (unsigned int threads = 1; threads < 9; threads++) {
		assert_int_equal(fixture_reopen(&f, bytes, length), 0);
		f.layer.disk_bytes = o.disk_bytes;
		assert_int_equal(hash_with(&f, threads, &untouched), -QC_E_FORMAT);
		assert_non_null(strstr(f.err.text, "guest offset 0x2810000"));
		fixture_close(&f);
	}
	builder_free(b);
}

struct recorder {
	struct qc_progress progress;
	uint64_t done, total;
	bool fell;
};

static void record(struct qc_progress *progress, uint64_t done, uint64_t total)
{
	struct recorder *r = (struct recorder *)progress;

	r->fell |= done < r->done;
	r->done = done;
	r->total = total;
}

static void progress_rises_to_the_size_of_the_disk(void **state)
{
	struct recorder r = {.progress.step = record};
	struct qc_hash hash = {.threads = 3, .progress = &r.progress};
	struct builder *b = builder_new(NULL);
	struct qc_digest digest;
	struct qc_view view;
	struct fixture f;

	(void)state;
	builder_data(b, 7, filled(7));
	fixture_open(&f, b);
	qc_view_active(&f.layer, &view);
	hash.view = &view;
	assert_int_equal(qc_hash_view(&hash, &digest, &f.err), 0);
	assert_int_equal(r.done, MIB);
	assert_int_equal(r.total, MIB);
	assert_false(r.fell);
	fixture_close(&f);
	builder_free(b);
}

static void it_stops_when_told_to(void **state)
{
	volatile sig_atomic_t stop = 1;
	struct qc_hash hash = {.threads = 3, .stop = &stop};
	struct builder *b = builder_new(NULL);
	struct qc_digest digest;
	struct qc_view view;
	struct fixture f;

	(void)state;
	fixture_open(&f, b);
	qc_view_active(&f.layer, &view);
	hash.view = &view;
	assert_int_equal(qc_hash_view(&hash, &digest, &f.err), -QC_E_INTERRUPTED);
	fixture_close(&f);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hash_is_that_of_the_bytes_for_any_threads_and_any_format),
		cmocka_unit_test(sizes_around_the_borders_of_blocks_and_stretches_hash_right),
		cmocka_unit_test(a_disk_of_many_stretches_hashes_the_same_with_any_threads),
		cmocka_unit_test(the_lowest_failure_is_told_whatever_the_number_of_threads),
		cmocka_unit_test(progress_rises_to_the_size_of_the_disk),
		cmocka_unit_test(it_stops_when_told_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
