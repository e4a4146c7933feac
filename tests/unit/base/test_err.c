// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"

static void raising_returns_the_negated_code(void **state)
{
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_fail(&err, QC_E_RANGE, "offset %d", 7), -QC_E_RANGE);
	assert_int_equal(err.code, QC_E_RANGE);
	assert_int_equal(err.os_errno, 0);
	assert_string_equal(err.text, "offset 7");
	assert_int_equal(qc_fail_memory(&err), -QC_E_NO_MEMORY);
	assert_string_equal(err.text, "out of memory");
}

static void codes_follow_from_errno(void **state)
{
	const struct {
		int errnum;
		enum qc_code code;
	} cases[] = {
		{ENOSPC, QC_E_NO_SPACE},  {EDQUOT, QC_E_NO_SPACE},  {EFBIG, QC_E_NO_SPACE},
		{ENOMEM, QC_E_NO_MEMORY}, {ENOENT, QC_E_NOT_FOUND}, {EEXIST, QC_E_EXISTS},
		{EIO, QC_E_IO},		  {EACCES, QC_E_IO},
	};
	struct qc_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(qc_fail_errno(&err, cases[i].errnum, "'%s'", "f"),
				 -(int)cases[i].code);
		assert_int_equal(err.os_errno, cases[i].errnum);
		assert_memory_equal(err.text, "'f': ", 5);
		assert_true(strlen(err.text) > 5);
	}
}

static void context_goes_in_front_and_keeps_the_code(void **state)
{
	struct qc_err err;

	(void)state;
	qc_fail_errno(&err, ENOENT, "open");
	assert_int_equal(qc_err_context(&err, "backing file '%s'", "b"), -QC_E_NOT_FOUND);
	assert_memory_equal(err.text, "backing file 'b': open: ", 24);
	assert_int_equal(err.os_errno, ENOENT);
}

static void a_line_stays_a_line(void **state)
{
	struct qc_err err;

	(void)state;
	qc_fail(&err, QC_E_FORMAT, "a%sb", "\n\r\x1b\x7f");
	assert_string_equal(err.text, "a????b");
	qc_err_context(&err, "c%sd", "\n");
	assert_string_equal(err.text, "c?d: a????b");
}

static void an_unknown_outcome_has_its_code_and_its_words(void **state)
{
	struct qc_err err;

	(void)state;
	qc_fail_errno(&err, EIO, "sync");
	assert_int_equal(qc_err_outcome_unknown(&err), -QC_E_OUTCOME_UNKNOWN);
	assert_int_equal(err.code, QC_E_OUTCOME_UNKNOWN);
	assert_int_equal(err.os_errno, EIO);
	assert_string_equal(err.text,
			    "the outcome of the commit is unknown; the image is exactly the old or "
			    "exactly the new one: sync: Input/output error");
}

static void overlong_text_is_cut_and_stays_terminated(void **state)
{
	char longest[2000];
	struct qc_err err;

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memset(&err, 0xff, sizeof(err));
	qc_fail(&err, QC_E_IO, "%s", longest);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	qc_err_context(&err, "front");
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_memory_equal(err.text, "front: xxx", 10);
	qc_err_context(&err, "%s", longest);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	qc_fail_errno(&err, EIO, "%s", longest);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raising_returns_the_negated_code),
		cmocka_unit_test(codes_follow_from_errno),
		cmocka_unit_test(context_goes_in_front_and_keeps_the_code),
		cmocka_unit_test(a_line_stays_a_line),
		cmocka_unit_test(an_unknown_outcome_has_its_code_and_its_words),
		cmocka_unit_test(overlong_text_is_cut_and_stays_terminated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
