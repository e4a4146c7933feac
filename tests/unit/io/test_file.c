// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "io/file.h"
#include "io/file_mem.h"

static struct qc_file *three_bytes(void)
{
	struct qc_file *file;
	struct qc_err err;

	assert_int_equal(qc_file_mem_open("abc", 3, &file, &err), 0);
	return file;
}

static void what_lies_past_the_end_is_zero(void **state)
{
	struct qc_file *file = three_bytes();
	uint8_t got[8];
	struct qc_err err;

	(void)state;
	memset(got, 0xee, sizeof(got));
	assert_int_equal(qc_file_read(file, 1, got, sizeof(got), &err), 0);
	assert_memory_equal(got, "bc\0\0\0\0\0\0", 8);
	memset(got, 0xee, sizeof(got));
	assert_int_equal(qc_file_read(file, UINT64_C(1) << 62, got, sizeof(got), &err), 0);
	assert_memory_equal(got, "\0\0\0\0\0\0\0\0", 8);
	qc_file_close(file);
}

static void a_sparse_read_touches_nothing_past_the_end(void **state)
{
	size_t length = 8 << 20, data = 3 << 20;
	uint8_t *got = test_malloc(length);
	struct qc_file *file;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_file_mem_open("abc", 3, &file, &err), 0);
	assert_int_equal(qc_file_resize(file, 5 << 20, &err), 0);
	assert_int_equal(qc_file_write(file, data, "def", 3, &err), 0);
	memset(got, 0xee, length);
	assert_int_equal(qc_file_read_sparse(file, 1, got, length, &err), 0);
	assert_memory_equal(got, "bc\0", 3);
	assert_memory_equal(got + data - 1, "def\0", 4);
	assert_int_equal(got[length - 1], 0xee);
	assert_int_equal(qc_file_read_sparse(file, data, got, 4, &err), 0);
	assert_memory_equal(got, "def\0", 4);
	qc_file_close(file);
	test_free(got);
}

static void ranges_that_no_file_can_hold_are_errors(void **state)
{
	static const uint64_t offsets[] = {INT64_MAX, UINT64_C(1) << 63, UINT64_MAX - 1,
					   UINT64_MAX};
	struct qc_file *file = three_bytes();
	uint8_t byte[2] = {0};
	uint64_t run;
	struct qc_err err;
	bool data;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(qc_file_read(file, offsets[i], byte, 2, &err), -QC_E_RANGE);
		assert_int_equal(qc_file_write(file, offsets[i], byte, 2, &err), -QC_E_RANGE);
		assert_int_equal(qc_file_punch(file, offsets[i], 2, &err), -QC_E_RANGE);
		assert_int_equal(qc_file_extent(file, offsets[i], 2, &data, &run, &err),
				 -QC_E_RANGE);
	}
	assert_int_equal(qc_file_resize(file, UINT64_C(1) << 63, &err), -QC_E_RANGE);
	assert_int_equal(qc_file_punch(file, 1, UINT64_MAX, &err), -QC_E_RANGE);
	assert_int_equal(file->bytes, 3);
	assert_memory_equal(qc_file_mem_bytes(file), "abc", 3);
	qc_file_close(file);
}

static void a_file_for_reading_does_not_change(void **state)
{
	struct qc_file *file = three_bytes();
	struct qc_err err;

	(void)state;
	file->writable = false;
	assert_int_equal(qc_file_write(file, 0, "x", 1, &err), -QC_E_IO);
	assert_string_equal(err.text, "write: the file is open for reading only");
	assert_int_equal(qc_file_resize(file, 1, &err), -QC_E_IO);
	assert_int_equal(qc_file_punch(file, 0, 1, &err), -QC_E_IO);
	assert_int_equal(file->bytes, 3);
	assert_memory_equal(qc_file_mem_bytes(file), "abc", 3);
	qc_file_close(file);
}

static void a_device_does_not_change_its_length(void **state)
{
	struct qc_file *file = three_bytes();
	struct qc_err err;

	(void)state;
	file->fixed_length = true;
	assert_int_equal(qc_file_write(file, 2, "xy", 2, &err), -QC_E_NO_SPACE);
	assert_int_equal(qc_file_resize(file, 4, &err), -QC_E_NO_SPACE);
	assert_int_equal(qc_file_resize(file, 2, &err), -QC_E_NO_SPACE);
	assert_int_equal(qc_file_resize(file, 3, &err), 0);
	assert_int_equal(qc_file_write(file, 2, "x", 1, &err), 0);
	assert_int_equal(file->bytes, 3);
	assert_memory_equal(qc_file_mem_bytes(file), "abx", 3);
	qc_file_close(file);
}

static void past_the_end_there_is_a_hole_and_nothing_to_punch(void **state)
{
	struct qc_file *file = three_bytes();
	uint64_t run = 0;
	struct qc_err err;
	bool data = true;

	(void)state;
	assert_int_equal(qc_file_extent(file, 3, 100, &data, &run, &err), 0);
	assert_false(data);
	assert_int_equal(run, 100);
	assert_int_equal(qc_file_extent(file, 2, 100, &data, &run, &err), 0);
	assert_true(data);
	assert_int_equal(run, 1);
	assert_int_equal(qc_file_punch(file, 3, 100, &err), 0);
	assert_int_equal(qc_file_punch(file, 2, 100, &err), 0);
	assert_int_equal(file->bytes, 3);
	assert_memory_equal(qc_file_mem_bytes(file), "ab\0", 3);
	qc_file_close(file);
}

static void nothing_is_closed_without_a_file(void **state)
{
	(void)state;
	qc_file_close(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lies_past_the_end_is_zero),
		cmocka_unit_test(a_sparse_read_touches_nothing_past_the_end),
		cmocka_unit_test(ranges_that_no_file_can_hold_are_errors),
		cmocka_unit_test(a_file_for_reading_does_not_change),
		cmocka_unit_test(a_device_does_not_change_its_length),
		cmocka_unit_test(past_the_end_there_is_a_hole_and_nothing_to_punch),
		cmocka_unit_test(nothing_is_closed_without_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
