// SPDX-License-Identifier: MIT
/* Whether there are only zeroes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool qc_is_zero(const uint8_t *bytes, size_t length)
{
	static const uint8_t zeroes[256];

	if (length <= sizeof(zeroes))
		return memcmp(bytes, zeroes, length) == 0;
	/* What starts with zeroes and equals itself shifted by their number is all zeroes. */
	return memcmp(bytes, zeroes, sizeof(zeroes)) == 0
	       && memcmp(bytes, bytes + sizeof(zeroes), length - sizeof(zeroes)) == 0;
}
