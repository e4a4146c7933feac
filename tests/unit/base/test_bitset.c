// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/bitset.h"

static void edges_of_words_are_members_like_any_other(void **state)
{
	const uint64_t members[] = {0, 1, 62, 63, 64, 65, 127, 128, 129};
	struct qc_bitset set;

	(void)state;
	assert_true(qc_bitset_init(&set, 130));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		assert_false(qc_bitset_has(&set, members[i]));
		qc_bitset_add(&set, members[i]);
		assert_true(qc_bitset_has(&set, members[i]));
		assert_int_equal(qc_bitset_next(&set, 0), members[i]);
		assert_int_equal(qc_bitset_end(&set), members[i] + 1);
		qc_bitset_remove(&set, members[i]);
		assert_false(qc_bitset_has(&set, members[i]));
	}
	assert_false(qc_bitset_has(&set, 130));
	assert_false(qc_bitset_has(&set, UINT64_MAX));
	qc_bitset_clear(&set);
	qc_bitset_clear(&set);
}

static void ranges_change_what_they_cover_and_nothing_else(void **state)
{
	struct qc_bitset set;

	(void)state;
	assert_true(qc_bitset_init(&set, 200));
	for (uint64_t first = 60; first < 70; first++) {
		for (uint64_t count = 0; count < 131; count++) {
			qc_bitset_add_range(&set, first, count);
			for (uint64_t i = 0; i < 200; i++)
				assert_int_equal(qc_bitset_has(&set, i),
						 i >= first && i < first + count);
			qc_bitset_remove_range(&set, first, count);
			assert_int_equal(qc_bitset_end(&set), 0);
		}
	}
	qc_bitset_add_range(&set, 0, 200);
	qc_bitset_remove_range(&set, 63, 2);
	assert_int_equal(qc_bitset_next_absent(&set, 0), 63);
	assert_int_equal(qc_bitset_next(&set, 63), 65);
	assert_int_equal(qc_bitset_next_absent(&set, 65), 200);
	qc_bitset_clear(&set);
}

static void scans_stop_at_the_end_of_the_set(void **state)
{
	struct qc_bitset set;

	(void)state;
	assert_true(qc_bitset_init(&set, 70));
	assert_int_equal(qc_bitset_next(&set, 0), 70);
	assert_int_equal(qc_bitset_next(&set, 70), 70);
	assert_int_equal(qc_bitset_next(&set, UINT64_MAX), 70);
	qc_bitset_add_range(&set, 0, 70);
	assert_int_equal(qc_bitset_next_absent(&set, 0), 70);
	assert_int_equal(qc_bitset_next_absent(&set, 69), 70);
	assert_int_equal(qc_bitset_end(&set), 70);
	qc_bitset_clear(&set);
}

static void growing_keeps_members_and_adds_none(void **state)
{
	struct qc_bitset set;

	(void)state;
	assert_true(qc_bitset_init(&set, 3));
	qc_bitset_add_range(&set, 0, 3);
	assert_true(qc_bitset_grow(&set, 2));
	assert_int_equal(set.bits, 3);
	assert_true(qc_bitset_grow(&set, 1000));
	assert_int_equal(qc_bitset_end(&set), 3);
	assert_int_equal(qc_bitset_next_absent(&set, 0), 3);
	assert_int_equal(qc_bitset_next(&set, 3), 1000);
	qc_bitset_clear(&set);
}

static void an_empty_set_works_and_can_grow(void **state)
{
	struct qc_bitset set;

	(void)state;
	assert_true(qc_bitset_init(&set, 0));
	assert_int_equal(qc_bitset_next(&set, 0), 0);
	assert_int_equal(qc_bitset_end(&set), 0);
	assert_true(qc_bitset_grow(&set, 65));
	assert_int_equal(qc_bitset_end(&set), 0);
	qc_bitset_clear(&set);
}

static void a_range_is_a_member_if_all_of_it_is(void **state)
{
	struct qc_bitset set;

	(void)state;
	assert_true(qc_bitset_init(&set, 200));
	qc_bitset_add_range(&set, 10, 150);
	assert_true(qc_bitset_has_range(&set, 10, 150));
	assert_true(qc_bitset_has_range(&set, 63, 2));
	assert_true(qc_bitset_has_range(&set, 64, 64));
	assert_true(qc_bitset_has_range(&set, 5, 0));
	assert_false(qc_bitset_has_range(&set, 9, 150));
	assert_false(qc_bitset_has_range(&set, 11, 150));
	assert_false(qc_bitset_has_range(&set, 159, 2));
	qc_bitset_remove(&set, 100);
	assert_false(qc_bitset_has_range(&set, 10, 150));
	assert_true(qc_bitset_has_range(&set, 101, 59));
	qc_bitset_add_range(&set, 0, 200);
	assert_true(qc_bitset_has_range(&set, 0, 200));
	assert_false(qc_bitset_has_range(&set, 199, 2));
	qc_bitset_clear(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges_of_words_are_members_like_any_other),
		cmocka_unit_test(ranges_change_what_they_cover_and_nothing_else),
		cmocka_unit_test(scans_stop_at_the_end_of_the_set),
		cmocka_unit_test(growing_keeps_members_and_adds_none),
		cmocka_unit_test(an_empty_set_works_and_can_grow),
		cmocka_unit_test(a_range_is_a_member_if_all_of_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
