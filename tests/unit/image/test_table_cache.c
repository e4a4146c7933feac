// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "image/table_cache.h"
#include "io/file_mem.h"

/* Fails when `allowed` reads are used up. */
struct counted {
	struct qc_file base;
	unsigned int reads;
	unsigned int allowed;
};

static int counted_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
			struct qc_err *err)
{
	struct counted *c = (struct counted *)file;

	if (c->reads == c->allowed)
		return qc_fail(err, QC_E_IO, "no more reads");
	c->reads++;
	for (size_t i = 0; i < length; i++)
		((uint8_t *)buffer)[i] = (uint8_t)(offset / 512);
	return 0;
}

static const struct qc_file_ops ops = {.read = counted_read};

static void the_table_used_longest_ago_goes(void **state)
{
	struct counted file = {.base = {.ops = &ops, .bytes = 1 << 20}, .allowed = 100};
	static const uint64_t order[] = {1, 2, 1, 3, 1, 2};
	static const unsigned int reads[] = {1, 2, 2, 3, 3, 4};
	struct qc_table_cache *cache;
	const uint8_t *table;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_table_cache_open(&file.base, 512, 2, &cache, &err), 0);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(qc_table_cache_get(cache, qc_host(order[i] * 512), &table, &err),
				 0);
		assert_int_equal(table[511], order[i]);
		assert_int_equal(file.reads, reads[i]);
	}
	qc_table_cache_forget(cache);
	assert_int_equal(qc_table_cache_get(cache, qc_host(512), &table, &err), 0);
	assert_int_equal(file.reads, 5);
	qc_table_cache_close(cache);
}

static void a_table_that_could_not_be_read_is_not_kept(void **state)
{
	struct counted file = {.base = {.ops = &ops, .bytes = 1 << 20}, .allowed = 1};
	struct qc_table_cache *cache;
	const uint8_t *table;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_table_cache_open(&file.base, 512, 1, &cache, &err), 0);
	assert_int_equal(qc_table_cache_get(cache, qc_host(512), &table, &err), 0);
	assert_int_equal(qc_table_cache_get(cache, qc_host(1024), &table, &err), -QC_E_IO);
	assert_int_equal(qc_table_cache_get(cache, qc_host(512), &table, &err), -QC_E_IO);
	file.allowed = 2;
	assert_int_equal(qc_table_cache_get(cache, qc_host(1024), &table, &err), 0);
	assert_int_equal(table[0], 2);
	qc_table_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_used_longest_ago_goes),
		cmocka_unit_test(a_table_that_could_not_be_read_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
