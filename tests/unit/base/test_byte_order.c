// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/byte_order.h"

static const uint8_t bytes[] = {0x00, 0x81, 0x02, 0x83, 0x04, 0x85, 0x06, 0x87, 0x08};

static void the_first_byte_is_the_most_significant(void **state)
{
	(void)state;
	assert_int_equal(qc_load_be16(bytes), 0x0081);
	assert_int_equal(qc_load_be32(bytes), 0x00810283);
	assert_true(qc_load_be64(bytes) == UINT64_C(0x0081028304850687));
}

static void alignment_does_not_matter(void **state)
{
	uint8_t copy[16] = {0};

	(void)state;
	assert_int_equal(qc_load_be16(bytes + 1), 0x8102);
	assert_int_equal(qc_load_be32(bytes + 1), 0x81028304u);
	assert_true(qc_load_be64(bytes + 1) == UINT64_C(0x8102830485068708));
	qc_store_be64(copy + 3, UINT64_C(0x8102830485068708));
	assert_memory_equal(copy + 3, bytes + 1, 8);
	assert_int_equal(copy[2], 0);
	assert_int_equal(copy[11], 0);
	assert_int_equal(_Alignof(qc_be64), 1);
}

static void fields_round_trip(void **state)
{
	(void)state;
	assert_int_equal(qc_be16_get(qc_be16_make(0xfffe)), 0xfffe);
	assert_int_equal(qc_be32_get(qc_be32_make(0xfffefdfcu)), 0xfffefdfcu);
	assert_true(qc_be64_get(qc_be64_make(UINT64_MAX - 1)) == UINT64_MAX - 1);
	assert_int_equal(qc_be32_make(0x01020304).byte[0], 1);
	assert_int_equal(qc_be16_make(0x0102).byte[1], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_byte_is_the_most_significant),
		cmocka_unit_test(alignment_does_not_matter),
		cmocka_unit_test(fields_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
