// SPDX-License-Identifier: MIT
#include "unit/io/file_model.h"

#include "io/file_mem.h"

static void a_long_random_walk_matches_the_model(void **state)
{
	static struct file_model model;
	struct qc_file *file;
	struct qc_err err;

	(void)state;
	model = (struct file_model){.seed = 1};
	assert_int_equal(qc_file_mem_open(NULL, 0, &file, &err), 0);
	model_walk(&model, file, 6000);
	assert_memory_equal(qc_file_mem_bytes(file), model.bytes, (size_t)model.length);
	qc_file_close(file);
}

static void the_copy_is_independent_of_its_source(void **state)
{
	uint8_t source[1000];
	struct qc_file *file;
	struct qc_err err;

	(void)state;
	memset(source, 'a', sizeof(source));
	assert_int_equal(qc_file_mem_open(source, sizeof(source), &file, &err), 0);
	memset(source, 'b', sizeof(source));
	for (size_t i = 0; i < sizeof(source); i++)
		assert_int_equal(qc_file_mem_bytes(file)[i], 'a');
	qc_file_close(file);
}

/* Where a pointer cannot say 64 GiB, one is as far as a mapping goes for sure. */
static void writes_at_64_gib_cost_no_64_gib(void **state)
{
	const uint64_t far = UINT64_C(1) << (sizeof(size_t) > 4 ? 36 : 30);
	struct qc_file *file;
	struct qc_err err;
	char got[6];

	(void)state;
	assert_int_equal(qc_file_mem_open(NULL, 0, &file, &err), 0);
	assert_int_equal(qc_file_write(file, far, "abc", 3, &err), 0);
	assert_int_equal(file->bytes, far + 3);
	assert_int_equal(qc_file_read(file, far - 1, got, 6, &err), 0);
	assert_memory_equal(got, "\0abc\0\0", 6);
	assert_int_equal(qc_file_resize(file, 0, &err), 0);
	assert_int_equal(qc_file_resize(file, far + 3, &err), 0);
	assert_int_equal(qc_file_read(file, far - 1, got, 6, &err), 0);
	assert_memory_equal(got, "\0\0\0\0\0\0", 6);
	qc_file_close(file);
}

static void more_than_can_be_is_out_of_memory(void **state)
{
	struct qc_file *file;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_file_mem_open("abc", 3, &file, &err), 0);
	assert_int_equal(qc_file_resize(file, INT64_MAX, &err), -QC_E_NO_MEMORY);
	assert_int_equal(qc_file_write(file, INT64_MAX - 3, "x", 1, &err), -QC_E_NO_MEMORY);
	assert_int_equal(file->bytes, 3);
	qc_file_close(file);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_random_walk_matches_the_model),
		cmocka_unit_test(the_copy_is_independent_of_its_source),
		cmocka_unit_test(writes_at_64_gib_cost_no_64_gib),
		cmocka_unit_test(more_than_can_be_is_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
