// SPDX-License-Identifier: MIT
/* The grammar of sizes on the command line. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "cmd/size.h"

static void is(const char *text, uint64_t bytes)
{
	uint64_t parsed = ~bytes;
	struct qc_err err;

	assert_int_equal(size_parse(text, &parsed, &err), 0);
	assert_true(parsed == bytes);
}

static void is_refused(const char *text)
{
	uint64_t untouched = 77;
	struct qc_err err;

	assert_int_equal(size_parse(text, &untouched, &err), -QC_E_ARGUMENT);
	assert_true(untouched == 77);
	assert_non_null(strstr(err.text, text));
}

static void plain_numbers_are_bytes(void **state)
{
	(void)state;
	is("0", 0);
	is("1", 1);
	is("512", 512);
	is("18446744073709551615", UINT64_MAX);
}

static void a_leading_zero_is_decimal(void **state)
{
	(void)state;
	is("010", 10);
	is("09", 9);
	is("00k", 0);
}

static void hex_takes_either_case(void **state)
{
	(void)state;
	is("0x1be", 0x1be);
	is("0X1BE", 0x1be);
	is("0xffffffffffffffff", UINT64_MAX);
}

static void each_suffix_is_1024_times_the_one_before(void **state)
{
	(void)state;
	is("3b", 3);
	is("3k", 3 * UINT64_C(1024));
	is("3K", 3 * UINT64_C(1024));
	is("3m", 3 * UINT64_C(1024) * 1024);
	is("3M", 3 * UINT64_C(1024) * 1024);
	is("3G", UINT64_C(3) << 30);
	is("3g", UINT64_C(3) << 30);
	is("3T", UINT64_C(3) << 40);
	is("3P", UINT64_C(3) << 50);
	is("3E", UINT64_C(3) << 60);
	is("0x10k", 16 * UINT64_C(1024));
}

static void b_and_e_are_digits_in_hex(void **state)
{
	(void)state;
	is("0x1b", 0x1b);
	is("0x1E", 0x1e);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	is_refused("18446744073709551616");
	is_refused("99999999999999999999999");
	is_refused("0x10000000000000000");
	is_refused("16E");
	is_refused("16384P");
	is("15E", UINT64_C(15) << 60);
}

static void anything_else_is_refused(void **state)
{
	static const char *const texts[] = {"",	     " 1",  "1 ", "+1",	  "-1",	 "1.5G", "1kk",
					    "1kb",   "1x",  "k",  "0x",	  "0xk", "0xg",	 "1e3",
					    "1,000", "1_0", "b",  "\xff", "1Z",	 "0b1"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		is_refused(texts[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_numbers_are_bytes),
		cmocka_unit_test(a_leading_zero_is_decimal),
		cmocka_unit_test(hex_takes_either_case),
		cmocka_unit_test(each_suffix_is_1024_times_the_one_before),
		cmocka_unit_test(b_and_e_are_digits_in_hex),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(anything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
