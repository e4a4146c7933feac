// SPDX-License-Identifier: MIT
#include "unit/image/fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "image/read.h"
#include "io/file_posix.h"
#include "ops/copy.h"
#include "support/fault_file.h"

#define MIB (UINT64_C(1) << 20)
#define CLUSTER UINT64_C(65536)

/* What qc_copy_in_order() hands over. */
struct heap {
	uint8_t *bytes;
	size_t length, room;
	size_t refuse_at; /* once so much is there; 0: never */
};

static int take(void *context, const uint8_t *bytes, size_t length, struct qc_err *err)
{
	struct heap *heap = context;

	if (heap->refuse_at > 0 && heap->length >= heap->refuse_at)
		return qc_fail(err, QC_E_IO, "no more");
	assert_true(length <= heap->room - heap->length);
	memcpy(heap->bytes + heap->length, bytes, length);
	heap->length += length;
	return 0;
}

static struct heap new_heap(uint64_t room)
{
	struct heap heap = {.bytes = malloc((size_t)room + 1), .room = (size_t)room};

	assert_non_null(heap.bytes);
	return heap;
}

static void copy_in_order(struct fixture *f, struct qc_copy *copy, const uint8_t *expected)
{
	struct heap heap = new_heap(copy->length);

	if (qc_copy_in_order(copy, take, &heap, &f->err) < 0)
		fail_msg("%s", f->err.text);
	assert_int_equal(heap.length, copy->length);
	assert_memory_equal(heap.bytes, expected + copy->at, heap.length);
	free(heap.bytes);
}

static struct qc_file *new_file(uint64_t length)
{
	struct qc_file *file;
	struct qc_err err;

	assert_int_equal(qc_file_posix_temporary(&file, &err), 0);
	assert_int_equal(qc_file_resize(file, length, &err), 0);
	return file;
}

static void copy_to_file(struct fixture *f, struct qc_copy *copy, const uint8_t *expected)
{
	struct qc_file *file = new_file(copy->length);
	uint8_t *found = malloc((size_t)copy->length + 1);

	assert_non_null(found);
	if (qc_copy_to_file(copy, file, &f->err) < 0)
		fail_msg("%s", f->err.text);
	assert_int_equal(file->bytes, copy->length);
	assert_int_equal(qc_file_read(file, 0, found, (size_t)copy->length, &f->err), 0);
	assert_memory_equal(found, expected + copy->at, (size_t)copy->length);
	free(found);
	qc_file_close(file);
}

/* Both ways, from many places, with several numbers of threads. */
static void assert_copies(struct fixture *f)
{
	static const unsigned int threads[] = {1, 2, 7};
	struct qc_view view;
	struct qc_copy copy = {.view = &view};
	uint8_t *expected;
	uint64_t end;

	qc_view_active(&f->layer, &view);
	end = view.disk_bytes;
	expected = malloc((size_t)end);
	assert_non_null(expected);
	assert_int_equal(qc_read(&view, qc_guest(0), expected, (size_t)end, &f->err), 0);
	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		const uint64_t starts[] = {0, 511, 3 * MIB + 1, end};

		copy.threads = threads[i];
		for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
			copy.at = starts[s];
			copy.length = end - copy.at;
			copy_in_order(f, &copy, expected);
			copy_to_file(f, &copy, expected);
			copy.length /= 3;
			copy_to_file(f, &copy, expected);
		}
	}
	free(expected);
}

/* Data in strange places of a disk of an odd size, stored as the options say. */
static void copy_a_mixture(uint32_t cluster_bits, enum qc_compression compression)
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
	assert_copies(&f);
	fixture_close(&f);
	builder_free(b);
}

static void copies_are_what_the_guest_sees_for_any_threads_and_any_format(void **state)
{
	(void)state;
	copy_a_mixture(9, QC_COMPRESSION_ZLIB);
	copy_a_mixture(12, QC_COMPRESSION_ZSTD);
	copy_a_mixture(16, QC_COMPRESSION_ZLIB);
	copy_a_mixture(21, QC_COMPRESSION_ZSTD);
}

/* A page of ones in every fourth of the disk's clusters, all of which are stored. */
static void open_speckled(struct fixture *f, struct builder **ret)
{
	struct builder_options o = builder_defaults();
	uint8_t *cluster = calloc(1, CLUSTER);

	assert_non_null(cluster);
	o.disk_bytes = 8 * MIB;
	*ret = builder_new(&o);
	memset(cluster + 8192, 1, 4096);
	for (uint64_t i = 0; i < o.disk_bytes / CLUSTER; i++)
		builder_data(*ret, i, i % 4 == 0 ? cluster : filled(0));
	fixture_open(f, *ret);
	free(cluster);
}

static void zeroes_take_no_space_whether_they_are_stored_or_not(void **state)
{
	struct qc_view view;
	struct qc_copy copy = {.view = &view, .length = 8 * MIB, .threads = 2};
	uint64_t occupied = 0;
	struct qc_file *file;
	struct builder *b;
	struct fixture f;

	(void)state;
	open_speckled(&f, &b);
	qc_view_active(&f.layer, &view);
	file = new_file(copy.length);
	assert_int_equal(qc_copy_to_file(&copy, file, &f.err), 0);
	assert_int_equal(qc_file_sync(file, QC_SYNC_FULL, &f.err), 0);
	assert_true(qc_file_posix_occupied(file, &occupied));
	/* A page for each of 32 clusters; blocks of file systems may be larger, and tables count. */
	assert_in_range(occupied, 32 * 4096, 32 * 16384);
	qc_file_close(file);
	fixture_close(&f);
	builder_free(b);
}

/* Cluster 40 * 16 + 1 does not decompress, and the entry of 50 * 16 makes no sense. */
static struct builder *build_broken(uint8_t **ret_bytes, size_t *ret_length)
{
	struct builder_options o = builder_defaults();
	struct builder *b;

	o.disk_bytes = 64 * MIB;
	b = builder_new(&o);
	for (uint64_t i = 0; i < 64; i++)
		builder_data(b, i * 16, filled((uint8_t)(i + 1)));
	builder_compressed(b, 40 * 16 + 1, filled(1));
	builder_finish(b, ret_bytes, ret_length);
	builder_poke64(b, builder_l2_entry_at(b, 50 * 16), UINT64_C(0x0100000000000000));
	/* zlib's first block type, 3, does not exist */
	(*ret_bytes)[builder_peek64(b, builder_l2_entry_at(b, 40 * 16 + 1)) & 0x3fffffffffffff] =
		0xff;
	return b;
}

static void the_lowest_failure_is_told_and_all_before_it_handed_over(void **state)
{
	struct qc_view view;
	struct qc_copy copy = {.view = &view, .length = 64 * MIB};
	uint8_t *bytes, *expected = malloc(40 * MIB);
	struct builder *b;
	struct fixture f;
	size_t length;

	(void)state;
	assert_non_null(expected);
	b = build_broken(&bytes, &length);
	for (copy.threads = 1; copy.threads < 9; copy.threads++) {
		struct heap heap = new_heap(copy.length);
		struct qc_file *file = new_file(copy.length);

		assert_int_equal(fixture_reopen(&f, bytes, length), 0);
		f.layer.disk_bytes = copy.length;
		qc_view_active(&f.layer, &view);
		assert_int_equal(qc_copy_to_file(&copy, file, &f.err), -QC_E_FORMAT);
		assert_non_null(strstr(f.err.text, "guest offset 0x2810000"));
		assert_int_equal(qc_copy_in_order(&copy, take, &heap, &f.err), -QC_E_FORMAT);
		assert_non_null(strstr(f.err.text, "guest offset 0x2810000"));
		assert_int_equal(heap.length, 40 * MIB);
		assert_int_equal(qc_read(&view, qc_guest(0), expected, 40 * MIB, &f.err), 0);
		assert_memory_equal(heap.bytes, expected, 40 * MIB);
		free(heap.bytes);
		qc_file_close(file);
		fixture_close(&f);
	}
	free(expected);
	builder_free(b);
}

static void it_ends_when_nobody_takes_any_more(void **state)
{
	struct qc_view view;
	struct qc_copy copy = {.view = &view, .length = 8 * MIB};
	struct builder *b;
	struct fixture f;

	(void)state;
	open_speckled(&f, &b);
	qc_view_active(&f.layer, &view);
	for (copy.threads = 1; copy.threads < 9; copy.threads++) {
		struct heap heap = new_heap(copy.length);

		heap.refuse_at = 4 * MIB;
		assert_int_equal(qc_copy_in_order(&copy, take, &heap, &f.err), -QC_E_IO);
		assert_string_equal(f.err.text, "no more");
		assert_int_equal(heap.length, 4 * MIB);
		free(heap.bytes);
	}
	fixture_close(&f);
	builder_free(b);
}

static void no_failure_of_the_file_is_lost(void **state)
{
	struct fault_plan plan = {.calls = FAULT_WRITE, .os_errno = ENOSPC};
	struct qc_view view;
	struct qc_copy copy = {.view = &view, .length = 8 * MIB, .threads = 1};
	struct builder *b;
	struct fixture f;

	(void)state;
	open_speckled(&f, &b);
	qc_view_active(&f.layer, &view);
	for (plan.at = 0; plan.at < 33; plan.at++) {
		struct qc_file *inner = new_file(copy.length);
		struct qc_file *file = fault_file_open(inner, &plan);
		int rc = qc_copy_to_file(&copy, file, &f.err);

		assert_int_equal(rc, plan.at < 32 ? -QC_E_NO_SPACE : 0);
		qc_file_close(file);
		qc_file_close(inner);
	}
	fixture_close(&f);
	builder_free(b);
}

/* Every other 96 KiB, to the end of the disk; the heap is `next`'s and take()'s, which may overlap. */
struct parts {
	struct heap heap;
	uint64_t at, end;
};

static void next_part(void *context, uint64_t *ret_at, uint64_t *ret_length)
{
	struct parts *parts = context;

	*ret_at = parts->at;
	*ret_length = parts->at < parts->end ? 96 << 10 : 0;
	parts->at += 192 << 10;
}

static int take_part(void *context, const uint8_t *bytes, size_t length, struct qc_err *err)
{
	struct parts *parts = context;

	return take(&parts->heap, bytes, length, err);
}

static void parts_come_in_order_and_nothing_between_them(void **state)
{
	uint8_t *expected = malloc(8 * MIB);
	struct qc_view view;
	struct qc_copy copy = {.view = &view};
	struct builder *b;
	struct fixture f;

	(void)state;
	assert_non_null(expected);
	open_speckled(&f, &b);
	qc_view_active(&f.layer, &view);
	assert_int_equal(qc_read(&view, qc_guest(0), expected, 8 * MIB, &f.err), 0);
	for (copy.threads = 1; copy.threads < 9; copy.threads++) {
		struct parts parts = {.heap = new_heap(8 * MIB), .end = 8 * MIB};
		size_t at = 0;

		assert_int_equal(qc_copy_parts(&copy, next_part, take_part, &parts, &f.err), 0);
		for (; at < parts.heap.length; at += 96 << 10)
			assert_memory_equal(parts.heap.bytes + at, expected + 2 * at, 96 << 10);
		assert_int_equal(at, (8 * MIB / (192 << 10) + 1) * (96 << 10));
		free(parts.heap.bytes);
	}
	free(expected);
	fixture_close(&f);
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

static void progress_rises_to_the_length(void **state)
{
	struct qc_view view;
	struct builder *b;
	struct fixture f;

	(void)state;
	open_speckled(&f, &b);
	qc_view_active(&f.layer, &view);
	for (unsigned int way = 0; way < 2; way++) {
		struct recorder r = {.progress.step = record};
		struct qc_copy copy = {.view = &view,
				       .at = MIB,
				       .length = 5 * MIB,
				       .threads = 3,
				       .progress = &r.progress};
		struct heap heap = new_heap(copy.length);
		struct qc_file *file = new_file(copy.length);

		assert_int_equal(way == 0 ? qc_copy_in_order(&copy, take, &heap, &f.err)
					  : qc_copy_to_file(&copy, file, &f.err),
				 0);
		assert_int_equal(r.done, copy.length);
		assert_int_equal(r.total, copy.length);
		assert_false(r.fell);
		qc_file_close(file);
		free(heap.bytes);
	}
	fixture_close(&f);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_what_the_guest_sees_for_any_threads_and_any_format),
		cmocka_unit_test(zeroes_take_no_space_whether_they_are_stored_or_not),
		cmocka_unit_test(the_lowest_failure_is_told_and_all_before_it_handed_over),
		cmocka_unit_test(parts_come_in_order_and_nothing_between_them),
		cmocka_unit_test(it_ends_when_nobody_takes_any_more),
		cmocka_unit_test(no_failure_of_the_file_is_lost),
		cmocka_unit_test(progress_rises_to_the_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
