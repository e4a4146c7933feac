// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "format/finding.h"
#include "support/found.h"

static void every_finding_has_an_id_of_its_own_and_a_summary(void **state)
{
	(void)state;
	for (int i = 0; i < QC_FINDING_COUNT; i++) {
		const struct qc_finding_kind *kind = qc_finding_kind((enum qc_finding_id)i);

		assert_non_null(kind->id);
		assert_true(strlen(kind->id)
			    == strspn(kind->id, "abcdefghijklmnopqrstuvwxyz0123456789-"));
		assert_true(strlen(kind->id) > 0);
		assert_true(strlen(kind->summary) > 10);
		assert_true(kind->severity <= QC_SEVERITY_CORRUPTION);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(kind->id,
						qc_finding_kind((enum qc_finding_id)j)->id);
	}
}

static void ids_do_not_change(void **state)
{
	(void)state;
	assert_string_equal(qc_finding_kind(QC_FINDING_HEADER_L1_PLACE)->id, "header-l1-place");
	assert_string_equal(qc_finding_kind(QC_FINDING_BITMAPS_STALE)->id, "bitmaps-stale");
	assert_string_equal(qc_finding_kind(QC_FINDING_HEADER_LENGTH)->id, "header-length");
}

static void a_finding_says_where_only_if_it_has_a_place(void **state)
{
	struct found found;
	struct qc_finding_sink sink = found_sink(&found);

	(void)state;
	qc_report(&sink, QC_FINDING_HEADER_LENGTH, "length %d", 5);
	assert_false(found.last[QC_FINDING_HEADER_LENGTH].has_host);
	assert_false(found.last[QC_FINDING_HEADER_LENGTH].has_guest);
	assert_string_equal(found.last[QC_FINDING_HEADER_LENGTH].message, "length 5");
	qc_report_at(&sink, QC_FINDING_HEADER_L1_PLACE, qc_host(UINT64_MAX), "here");
	assert_true(found.last[QC_FINDING_HEADER_L1_PLACE].has_host);
	assert_true(found.last[QC_FINDING_HEADER_L1_PLACE].host.byte == UINT64_MAX);
	assert_int_equal(found.total, 2);
}

static void messages_are_one_line_of_bounded_length(void **state)
{
	struct found found;
	struct qc_finding_sink sink = found_sink(&found);

	(void)state;
	qc_report(&sink, QC_FINDING_HEADER_LENGTH, "a%sb%0300d", "\n\x1b\x7f", 1);
	assert_memory_equal(found.last[QC_FINDING_HEADER_LENGTH].message, "a???b0", 6);
	assert_int_equal(strlen(found.last[QC_FINDING_HEADER_LENGTH].message), 255);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_finding_has_an_id_of_its_own_and_a_summary),
		cmocka_unit_test(ids_do_not_change),
		cmocka_unit_test(a_finding_says_where_only_if_it_has_a_place),
		cmocka_unit_test(messages_are_one_line_of_bounded_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
