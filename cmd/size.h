// SPDX-License-Identifier: MIT
/*
 * Sizes and offsets as they are typed: decimal or 0x-hex bytes with one suffix of b k M G T P E, in
 * either case, each 1024 times the one before. No signs, blanks or fractions; a leading zero means
 * nothing; in hex the letters b and E are digits, so those two suffixes exist for decimal only.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* All of text must be one size. QC_E_ARGUMENT with the reason if it is none, or above 2^64 - 1. */
int size_parse(const char *text, uint64_t *ret_bytes, struct qc_err *err);
