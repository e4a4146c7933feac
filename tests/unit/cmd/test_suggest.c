// SPDX-License-Identifier: MIT
/* What a mistyped word is taken for. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "cmd/suggest.h"

static const char *meant_by(const char *word)
{
	static const char *const names[] = {"info",    "map",	"read",		"hash",
					    "compare", "write", "snapshot-cow", "check"};
	struct suggestion suggestion;

	suggestion_init(&suggestion, word, strlen(word));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		suggestion_offer(&suggestion, names[i]);
	return suggestion.name ? suggestion.name : "none";
}

static void one_slip_of_each_sort_is_understood(void **state)
{
	(void)state;
	assert_string_equal(meant_by("wirte"), "write");
	assert_string_equal(meant_by("writ"), "write");
	assert_string_equal(meant_by("writte"), "write");
	assert_string_equal(meant_by("wride"), "write");
	assert_string_equal(meant_by("mpa"), "map");
}

static void the_nearest_name_is_taken(void **state)
{
	(void)state;
	assert_string_equal(meant_by("chekc"), "check");
	assert_string_equal(meant_by("hahs"), "hash");
	assert_string_equal(meant_by("snapshto-cow"), "snapshot-cow");
}

static void the_start_of_a_name_means_it(void **state)
{
	(void)state;
	assert_string_equal(meant_by("snapshot"), "snapshot-cow");
	assert_string_equal(meant_by("comp"), "compare");
	assert_string_equal(meant_by("r"), "none");
}

static void nothing_is_guessed_from_afar(void **state)
{
	char word[4096];

	(void)state;
	assert_string_equal(meant_by(""), "none");
	assert_string_equal(meant_by("convert"), "none");
	assert_string_equal(meant_by("resize"), "none");
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_string_equal(meant_by(word), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_slip_of_each_sort_is_understood),
		cmocka_unit_test(the_nearest_name_is_taken),
		cmocka_unit_test(the_start_of_a_name_means_it),
		cmocka_unit_test(nothing_is_guessed_from_afar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
