// SPDX-License-Identifier: MIT
#include "cmd/size.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/checked.h"

/* The value of a digit in that base, -1 if it is none. Not strtoull: that takes signs and octal. */
static int digit_value(char digit, unsigned int base)
{
	int lower = tolower((unsigned char)digit);

	if (lower >= '0' && lower <= '9')
		return lower - '0';
	if (base == 16 && lower >= 'a' && lower <= 'f')
		return lower - 'a' + 10;
	return -1;
}

/* Moves *text past the digits; false if the number does not fit. */
static bool read_digits(const char **text, unsigned int base, uint64_t *ret)
{
	uint64_t value = 0;
	int digit;

	for (; (digit = digit_value(**text, base)) >= 0; (*text)++)
		if (!qc_mul(value, base, &value) || !qc_add(value, (uint64_t)digit, &value))
			return false;
	*ret = value;
	return true;
}

/* How far a suffix shifts, -1 if it is none. The end of the text is the empty suffix. */
static int suffix_shift(const char *suffix)
{
	static const char letters[] = "bkmgtpe";
	const char *letter;

	if (*suffix == '\0')
		return 0;
	letter = strchr(letters, tolower((unsigned char)*suffix));
	return letter && suffix[1] == '\0' ? (int)(letter - letters) * 10 : -1;
}

static int fail_size(const char *text, struct qc_err *err)
{
	return qc_fail(err, QC_E_ARGUMENT,
		       "'%s' is not a size: expected bytes, decimal or 0x-hex, and at most one of "
		       "b k M G T P E",
		       text);
}

int size_parse(const char *text, uint64_t *ret_bytes, struct qc_err *err)
{
	unsigned int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	const char *rest = base == 16 ? text + 2 : text;
	const char *digits = rest;
	uint64_t value;
	int shift;

	if (!read_digits(&rest, base, &value))
		return qc_fail(err, QC_E_ARGUMENT, "'%s' is too large: 2^64 - 1 is the most", text);
	shift = suffix_shift(rest);
	if (rest == digits || shift < 0)
		return fail_size(text, err);
	if (!qc_mul(value, UINT64_C(1) << shift, &value))
		return qc_fail(err, QC_E_ARGUMENT, "'%s' is too large: 2^64 - 1 is the most", text);
	*ret_bytes = value;
	return 0;
}
