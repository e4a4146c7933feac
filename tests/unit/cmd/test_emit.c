// SPDX-License-Identifier: MIT
/* Sizes as qemu-img prints them, and JSON values that survive what an image may hold. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "cmd/emit.h"

static void sizes_have_three_digits_below_1000(void **state)
{
	(void)state;
	assert_string_equal(emit_size(0).text, "0 B");
	assert_string_equal(emit_size(999).text, "999 B");
	assert_string_equal(emit_size(1000).text, "0.977 KiB");
	assert_string_equal(emit_size(1024).text, "1 KiB");
	assert_string_equal(emit_size(196 * 1024).text, "196 KiB");
	assert_string_equal(emit_size(200704).text, "196 KiB");
	assert_string_equal(emit_size(1536 * UINT64_C(1024)).text, "1.5 MiB");
	assert_string_equal(emit_size(UINT64_C(1) << 30).text, "1 GiB");
	assert_string_equal(emit_size(UINT64_MAX).text, "16 EiB");
}

static void rounding_up_to_1000_prints_what_qemu_img_prints(void **state)
{
	(void)state;
	assert_string_equal(emit_size(1023488).text, "1e+03 KiB");
}

static void exact_sizes_name_the_bytes(void **state)
{
	(void)state;
	assert_string_equal(emit_size_exact(UINT64_C(1) << 30).text, "1 GiB (1073741824 bytes)");
	assert_string_equal(emit_size_exact(UINT64_MAX).text,
			    "16 EiB (18446744073709551615 bytes)");
}

static void text_is(const char *bytes, const char *expected)
{
	json_t *value = emit_text(bytes);

	assert_string_equal(json_string_value(value), expected);
	json_decref(value);
}

static void valid_utf_8_stays_as_it_is(void **state)
{
	(void)state;
	text_is("", "");
	text_is("snap \"1\"\n", "snap \"1\"\n");
	text_is("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

static void bytes_that_are_no_utf_8_become_replacement_characters(void **state)
{
	(void)state;
	text_is("a\xff"
		"b",
		"a\xef\xbf\xbd"
		"b");
	text_is("\xc3", "\xef\xbf\xbd");
	text_is("\xe2\x82z", "\xef\xbf\xbd\xef\xbf\xbdz");
	text_is("\xc3\xa9\x80", "\xc3\xa9\xef\xbf\xbd");
	text_is("\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd");
	text_is("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void numbers_beyond_jansson_s_integers_keep_their_magnitude(void **state)
{
	json_t *largest = emit_number(INT64_MAX);
	json_t *beyond = emit_number(UINT64_C(1) << 63);

	(void)state;
	assert_true(json_integer_value(largest) == INT64_MAX);
	assert_true(json_is_real(beyond));
	assert_true(json_real_value(beyond) == 9223372036854775808.0);
	json_decref(largest);
	json_decref(beyond);
}

static void prints(const char *text, const char *expected)
{
	char *seen = NULL;
	size_t length;
	FILE *stream = open_memstream(&seen, &length);

	assert_non_null(stream);
	emit_plain(stream, text);
	fclose(stream);
	assert_string_equal(seen, expected);
	free(seen);
}

static void no_control_character_reaches_a_terminal(void **state)
{
	(void)state;
	prints("\x1b[31mred\n\x7f\t", "?[31mred???");
	prints("\xc2\x9b"
	       "31m \xc2\x80\xc2\x9f",
	       "?31m ??"); /* U+009B begins what ESC [ does */
	prints("\xc2\xa0\xc3\xa4 \xe2\x82\xac", "\xc2\xa0\xc3\xa4 \xe2\x82\xac");
	prints("\xc2", "\xc2");
}

static void a_missing_value_is_memory_that_ran_out(void **state)
{
	struct qc_err err;

	(void)state;
	assert_int_equal(emit_json(NULL, &err), -QC_E_NO_MEMORY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_have_three_digits_below_1000),
		cmocka_unit_test(rounding_up_to_1000_prints_what_qemu_img_prints),
		cmocka_unit_test(exact_sizes_name_the_bytes),
		cmocka_unit_test(valid_utf_8_stays_as_it_is),
		cmocka_unit_test(bytes_that_are_no_utf_8_become_replacement_characters),
		cmocka_unit_test(numbers_beyond_jansson_s_integers_keep_their_magnitude),
		cmocka_unit_test(no_control_character_reaches_a_terminal),
		cmocka_unit_test(a_missing_value_is_memory_that_ran_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
