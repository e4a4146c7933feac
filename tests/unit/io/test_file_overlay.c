// SPDX-License-Identifier: MIT
#include "unit/io/file_model.h"

#include "io/file_mem.h"
#include "io/file_overlay.h"
#include "io/file_posix.h"

static struct qc_file *mem_file(const void *bytes, size_t length)
{
	struct qc_file *file;
	struct qc_err err;

	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	return file;
}

static struct qc_file *over(struct qc_file *lower, struct qc_file *upper)
{
	struct qc_file *view;
	struct qc_err err;

	assert_int_equal(qc_file_overlay_open(lower, upper, &view, &err), 0);
	assert_int_equal(view->bytes, lower->bytes);
	return view;
}

static void walk_over(struct qc_file *upper, uint64_t seed, uint64_t length)
{
	static struct file_model model;
	static uint8_t before[MODEL_BYTES_MAX];
	struct qc_file *lower;
	struct qc_file *view;

	model = (struct file_model){.seed = seed, .length = length};
	for (uint64_t i = 0; i < length; i++)
		model.bytes[i] = (uint8_t)(model_random(&model, 255) + 1);
	memcpy(before, model.bytes, sizeof(before));
	lower = mem_file(before, (size_t)length);
	lower->writable = false;
	view = over(lower, upper);
	model_walk(&model, view, 1500);
	assert_int_equal(lower->bytes, length);
	assert_memory_equal(qc_file_mem_bytes(lower), before, (size_t)length);
	qc_file_close(view);
	qc_file_close(lower);
}

static void a_long_random_walk_matches_the_model_and_spares_the_lower_file(void **state)
{
	static const uint64_t lengths[] = {1, 511, 512, 20000, 20480, MODEL_BYTES_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		walk_over(mem_file(NULL, 0), i + 1, lengths[i]);
}

static void a_temporary_file_serves_as_well_as_memory(void **state)
{
	struct qc_file *upper;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_file_posix_temporary(&upper, &err), 0);
	walk_over(upper, 77, 30001);
}

static void what_was_cut_off_does_not_come_back(void **state)
{
	struct qc_file *lower;
	struct qc_file *view;
	uint8_t bytes[2000];
	uint8_t got[2000];
	struct qc_err err;

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	lower = mem_file(bytes, sizeof(bytes));
	view = over(lower, mem_file(NULL, 0));
	assert_int_equal(qc_file_write(view, 600, "bbbbbbbbbb", 10, &err), 0);
	assert_int_equal(qc_file_resize(view, 605, &err), 0);
	assert_int_equal(qc_file_resize(view, 2000, &err), 0);
	memset(bytes + 600, 'b', 5);
	memset(bytes + 605, 0, 2000 - 605);
	assert_int_equal(qc_file_read(view, 0, got, sizeof(got), &err), 0);
	assert_memory_equal(got, bytes, sizeof(bytes));
	qc_file_close(view);
	qc_file_close(lower);
}

static void runs_cross_the_borders_of_regions(void **state)
{
	const uint64_t border = UINT64_C(3) << 30;
	struct qc_file *lower = mem_file("x", 1);
	struct qc_file *upper, *view;
	uint8_t bytes[4096];
	uint8_t got[4096];
	struct qc_err err;

	(void)state;
	/* Memory does not reach that far where a pointer has 32 bits. */
	assert_int_equal(qc_file_posix_temporary(&upper, &err), 0);
	view = over(lower, upper);
	memset(bytes, 'c', sizeof(bytes));
	assert_int_equal(qc_file_write(view, border - 2000, bytes, sizeof(bytes), &err), 0);
	assert_int_equal(qc_file_read(view, border - 2000, got, sizeof(got), &err), 0);
	assert_memory_equal(got, bytes, sizeof(bytes));
	assert_int_equal(qc_file_punch(view, border - 100, 200, &err), 0);
	memset(bytes + 1900, 0, 200);
	assert_int_equal(qc_file_read(view, border - 2000, got, sizeof(got), &err), 0);
	assert_memory_equal(got, bytes, sizeof(bytes));
	assert_int_equal(qc_file_resize(view, border - 1000, &err), 0);
	assert_int_equal(qc_file_resize(view, border + 5000, &err), 0);
	memset(bytes + 1000, 0, 3096);
	assert_int_equal(qc_file_read(view, border - 2000, got, sizeof(got), &err), 0);
	assert_memory_equal(got, bytes, sizeof(bytes));
	qc_file_close(view);
	qc_file_close(lower);
}

static void a_dry_run_on_a_device_ends_where_the_device_does(void **state)
{
	struct qc_file *lower = mem_file("abcd", 4);
	struct qc_file *view;
	struct qc_err err;

	(void)state;
	lower->fixed_length = true;
	view = over(lower, mem_file(NULL, 0));
	assert_int_equal(qc_file_write(view, 4, "x", 1, &err), -QC_E_NO_SPACE);
	assert_int_equal(qc_file_write(view, 3, "x", 1, &err), 0);
	assert_memory_equal(qc_file_mem_bytes(lower), "abcd", 4);
	qc_file_close(view);
	qc_file_close(lower);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_random_walk_matches_the_model_and_spares_the_lower_file),
		cmocka_unit_test(a_temporary_file_serves_as_well_as_memory),
		cmocka_unit_test(what_was_cut_off_does_not_come_back),
		cmocka_unit_test(runs_cross_the_borders_of_regions),
		cmocka_unit_test(a_dry_run_on_a_device_ends_where_the_device_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
