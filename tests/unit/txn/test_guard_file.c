// SPDX-License-Identifier: MIT
/* The guard of these tests lets nothing pass that it is there to catch. */
#include "unit/txn/fixture.h"

struct watched {
	struct builder *b;
	struct qc_file *mem, *guard;
	uint8_t *bytes;
	struct qc_err err;
};

static int set_up(void **state)
{
	struct watched *w = calloc(1, sizeof(*w));
	size_t length;

	assert_non_null(w);
	w->b = builder_new(NULL);
	builder_data(w->b, 0, filled(1));
	builder_skip_clusters(w->b, 2);
	builder_data(w->b, 1, filled(2));
	builder_finish(w->b, &w->bytes, &length);
	assert_int_equal(qc_file_mem_open(w->bytes, length, &w->mem, &w->err), 0);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
