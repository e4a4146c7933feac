// SPDX-License-Identifier: MIT
/* The guard of these tests lets nothing pass that it is there to catch. */
#include "unit/txn/places.h"

struct watched {
	struct builder *b;
	struct qc_file *mem, *guard;
	uint8_t *bytes;
	size_t length;
	struct qc_err err;
};

static int set_up(void **state)
{
	struct watched *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->b = builder_new(NULL);
	builder_data(w->b, 0, filled(1));
	builder_skip_clusters(w->b, 2);
	builder_data(w->b, 1, filled(2));
	builder_finish(w->b, &w->bytes, &w->length);
	assert_int_equal(qc_file_mem_open(w->bytes, w->length, &w->mem, &w->err), 0);
	w->guard = guard_file_open(w->mem, w->mem);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct watched *w = *state;

	qc_file_close(w->guard);
	qc_file_close(w->mem);
	builder_free(w->b);
	free(w);
	return 0;
}

static void flip(struct watched *w)
{
	assert_int_equal(qc_file_sync(w->guard, QC_SYNC_FULL, &w->err), 0);
	assert_int_equal(qc_file_write(w->guard, 0, w->bytes, 512, &w->err), 0);
	assert_int_equal(guard_flips(w->guard), 1);
}

static void free_clusters_may_be_changed(void **state)
{
	struct watched *w = *state;
	uint64_t at = 0;

	while (builder_refcount(w->b, at >> 16) != 0)
		at += 65536;
	assert_int_equal(qc_file_write(w->guard, at, filled(3), 65536, &w->err), 0);
	assert_int_equal(qc_file_punch(w->guard, at, 65536, &w->err), 0);
	assert_int_equal(qc_file_resize(w->guard, w->mem->bytes + 5000, &w->err), 0);
	assert_int_equal(qc_file_resize(w->guard, w->mem->bytes - 5000, &w->err), 0);
	assert_null(guard_violation(w->guard));
}

static void used_clusters_may_not(void **state)
{
	struct watched *w = *state;
	uint64_t at = builder_host_of(w->b, 1);

	assert_true(qc_file_write(w->guard, at - 1, "ab", 2, &w->err) < 0);
	assert_non_null(guard_violation(w->guard));
	assert_memory_equal(qc_file_mem_bytes(w->mem) + at, filled(2), 65536);
	assert_true(qc_file_punch(w->guard, at + 65535, 1, &w->err) < 0);
	assert_true(qc_file_resize(w->guard, at + 100, &w->err) < 0);
}

static void the_flip_needs_a_full_sync_with_nothing_written_since(void **state)
{
	struct watched *w = *state;

	assert_int_equal(qc_file_sync(w->guard, QC_SYNC_DATA, &w->err), 0);
	assert_true(qc_file_write(w->guard, 0, w->bytes, 512, &w->err) < 0);
	assert_int_equal(qc_file_sync(w->guard, QC_SYNC_FULL, &w->err), 0);
	assert_int_equal(qc_file_write(w->guard, w->mem->bytes, "x", 1, &w->err), 0);
	assert_true(qc_file_write(w->guard, 0, w->bytes, 512, &w->err) < 0);
	assert_int_equal(guard_flips(w->guard), 0);
}

static void the_flip_is_one_whole_sector(void **state)
{
	struct watched *w = *state;

	assert_int_equal(qc_file_sync(w->guard, QC_SYNC_FULL, &w->err), 0);
	assert_true(qc_file_write(w->guard, 0, w->bytes, 104, &w->err) < 0);
	assert_true(qc_file_write(w->guard, 0, w->bytes, 1024, &w->err) < 0);
	assert_true(qc_file_write(w->guard, 256, w->bytes, 512, &w->err) < 0);
	assert_int_equal(guard_flips(w->guard), 0);
}

static void nothing_is_changed_between_the_flip_and_its_sync(void **state)
{
	struct watched *w = *state;

	flip(w);
	assert_true(qc_file_write(w->guard, w->mem->bytes, "x", 1, &w->err) < 0);
	assert_true(qc_file_resize(w->guard, w->mem->bytes + 1, &w->err) < 0);
	assert_true(qc_file_write(w->guard, 0, w->bytes, 512, &w->err) < 0);
	assert_non_null(guard_violation(w->guard));
}

static void after_the_flips_sync_a_new_transaction_may_begin(void **state)
{
	struct watched *w = *state;

	flip(w);
	assert_int_equal(qc_file_sync(w->guard, QC_SYNC_DATA, &w->err), 0);
	assert_int_equal(qc_file_write(w->guard, w->mem->bytes, "x", 1, &w->err), 0);
	assert_null(guard_violation(w->guard));
	assert_true(qc_file_write(w->guard, 0, w->bytes, 512, &w->err) < 0);
}

static void what_is_referred_to_counts_as_used_on_request(void **state)
{
	struct watched *w = *state;
	uint64_t at = builder_host_of(w->b, 1);

	builder_poke_refcount(w->b, at >> 16, 0);
	qc_file_close(w->guard);
	qc_file_close(w->mem);
	assert_int_equal(qc_file_mem_open(w->bytes, w->length, &w->mem, &w->err), 0);
	w->guard = guard_file_open(w->mem, w->mem);
	assert_int_equal(qc_file_write(w->guard, at, filled(2), 65536, &w->err), 0);
	qc_file_close(w->guard);
	w->guard = guard_file_open(w->mem, w->mem);
	guard_file_believe_references(w->guard);
	assert_true(qc_file_write(w->guard, at, filled(2), 65536, &w->err) < 0);
	assert_non_null(guard_violation(w->guard));
}

/* --- in sparse files --- */

/* A block at 1 TiB counts itself and the cluster behind it, and the end of the file cuts it. */
static void a_count_far_out_in_a_block_that_is_cut_short_counts(void **state)
{
	const uint64_t cluster = 65536, far = UINT64_C(1) << 40;
	struct watched *w = *state;
	struct qc_file *file = far_file(w->bytes, w->length);
	struct qc_file *guard = guard_file_open(file, file);

	put_word(file, builder_refcount_table_entry_at(w->b, far / cluster / 32768), far);
	put_word(file, far, UINT64_C(0x0001000100000000));
	assert_true(qc_file_write(guard, far + 2 * cluster - 1, "x", 1, &w->err) < 0);
	assert_non_null(guard_violation(guard));
	qc_file_close(guard);
	guard = guard_file_open(file, file);
	assert_int_equal(qc_file_write(guard, far - 1, "x", 1, &w->err), 0);
	assert_int_equal(qc_file_write(guard, far + 2 * cluster, "x", 1, &w->err), 0);
	assert_null(guard_violation(guard));
	assert_true(qc_file_write(guard, far + 8, "x", 1, &w->err) < 0);
	assert_non_null(guard_violation(guard));
	qc_file_close(guard);
	qc_file_close(file);
}

/* In nearly as many clusters as a check takes. */
static void references_far_out_count_on_request(void **state)
{
	const uint64_t far = (UINT64_C(1) << 40) - (1 << 20);
	struct builder *b = small_clusters(0, 64 << 10);
	struct qc_file *file, *guard;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_data(b, 0, filled(1));
	builder_finish(b, &bytes, &length);
	file = far_file(bytes, length);
	put_word(file, builder_l2_entry_at(b, 0), far | QC_L2_COPIED);
	assert_int_equal(qc_file_resize(file, far + 4096, &err), 0);
	guard = guard_file_open(file, file);
	guard_file_believe_references(guard);
	assert_int_equal(qc_file_write(guard, far - 1, "x", 1, &err), 0);
	assert_int_equal(qc_file_write(guard, far + 512, "x", 1, &err), 0);
	assert_null(guard_violation(guard));
	assert_true(qc_file_write(guard, far + 511, "x", 1, &err) < 0);
	assert_non_null(guard_violation(guard));
	assert_true(qc_file_write(guard, far, "x", 1, &err) < 0);
	qc_file_close(guard);
	qc_file_close(file);
	builder_free(b);
}

/* --- beside a data file --- */

struct watched_pair {
	struct watched image;
	struct qc_file *data, *data_guard;
	uint8_t marked[512]; /* a sector 0 that says that there is something to redo */
};

/* The data file's first cluster is shown, the second one is not. */
static struct watched_pair *open_pair(bool raw)
{
	struct watched_pair *p = calloc(1, sizeof(*p));
	struct builder_options options = builder_defaults();
	struct watched *w = &p->image;

	assert_non_null(p);
	options.incompatible = QC_INCOMPAT_DATA_FILE;
	options.autoclear = raw ? QC_AUTOCLEAR_DATA_RAW : 0;
	w->b = builder_new(&options);
	builder_extension(w->b, QC_EXTENSION_DATA_FILE, "data", 4);
	builder_data(w->b, 0, NULL);
	builder_finish(w->b, &w->bytes, &w->length);
	memcpy(p->marked, w->bytes, sizeof(p->marked));
	p->marked[79] |= QC_INCOMPAT_CORRUPT;
	assert_int_equal(qc_file_mem_open(w->bytes, w->length, &w->mem, &w->err), 0);
	assert_int_equal(qc_file_mem_open(NULL, 0, &p->data, &w->err), 0);
	assert_int_equal(qc_file_resize(p->data, options.disk_bytes, &w->err), 0);
	w->guard = guard_file_open(w->mem, w->mem);
	p->data_guard = guard_file_open_data(p->data, w->guard);
	return p;
}

static void close_pair(struct watched_pair *p)
{
	qc_file_close(p->data_guard);
	qc_file_close(p->data);
	qc_file_close(p->image.guard);
	qc_file_close(p->image.mem);
	builder_free(p->image.b);
	free(p);
}

static int write_sector0(struct watched_pair *p)
{
	struct watched *w = &p->image;

	assert_int_equal(qc_file_sync(w->guard, QC_SYNC_FULL, &w->err), 0);
	return qc_file_write(w->guard, 0, p->marked, 512, &w->err);
}

static void shown_bytes_of_a_data_file_may_not_be_changed(void **state)
{
	struct watched_pair *p = open_pair(false);
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_file_write(p->data_guard, 65536, "x", 1, &err), 0);
	assert_null(guard_violation(p->image.guard));
	assert_true(qc_file_write(p->data_guard, 65535, "xx", 2, &err) < 0);
	assert_non_null(guard_violation(p->image.guard));
	assert_true(qc_file_punch(p->data_guard, 0, 512, &err) < 0);
	assert_true(qc_file_resize(p->data_guard, 10, &err) < 0);
	close_pair(p);
}

static void all_of_a_raw_data_file_is_shown_and_its_length(void **state)
{
	struct watched_pair *p = open_pair(true);
	struct qc_err err;

	(void)state;
	assert_true(qc_file_write(p->data_guard, 65536, "x", 1, &err) < 0);
	assert_true(qc_file_resize(p->data_guard, p->data->bytes + 1, &err) < 0);
	assert_non_null(guard_violation(p->image.guard));
	close_pair(p);
}

static void sector_0_waits_for_the_data_file(void **state)
{
	struct watched_pair *p = open_pair(false);
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_file_write(p->data_guard, 65536, "x", 1, &err), 0);
	assert_true(write_sector0(p) < 0);
	assert_non_null(guard_violation(p->image.guard));
	assert_int_equal(qc_file_sync(p->data_guard, QC_SYNC_FULL, &err), 0);
	assert_int_equal(write_sector0(p), 0);
	close_pair(p);
}

static void what_is_to_be_redone_may_be_written_once_that_is_durable(void **state)
{
	struct watched_pair *p = open_pair(false);
	struct qc_err err;

	(void)state;
	assert_int_equal(write_sector0(p), 0);
	assert_int_equal(qc_file_sync(p->image.guard, QC_SYNC_DATA, &err), 0);
	assert_int_equal(qc_file_write(p->data_guard, 0, "x", 1, &err), 0);
	assert_null(guard_violation(p->image.guard));
	close_pair(p);
	p = open_pair(false);
	assert_int_equal(write_sector0(p), 0);
	assert_true(qc_file_write(p->data_guard, 0, "x", 1, &err) < 0);
	assert_non_null(guard_violation(p->image.guard));
	close_pair(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(free_clusters_may_be_changed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(used_clusters_may_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_flip_needs_a_full_sync_with_nothing_written_since, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_flip_is_one_whole_sector, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_changed_between_the_flip_and_its_sync,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(after_the_flips_sync_a_new_transaction_may_begin,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_referred_to_counts_as_used_on_request,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_count_far_out_in_a_block_that_is_cut_short_counts,
						set_up, tear_down),
		cmocka_unit_test(references_far_out_count_on_request),
		cmocka_unit_test(shown_bytes_of_a_data_file_may_not_be_changed),
		cmocka_unit_test(all_of_a_raw_data_file_is_shown_and_its_length),
		cmocka_unit_test(sector_0_waits_for_the_data_file),
		cmocka_unit_test(what_is_to_be_redone_may_be_written_once_that_is_durable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
