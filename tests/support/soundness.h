// SPDX-License-Identifier: MIT
/*
 * What an edit of an image that may be anything must leave behind. Refused: every byte as it was.
 * Committed: an image that opens, whose check says nothing worse than before, without a journal.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/file.h"

/*
 * Judges `file` against the bytes it had before the edit. False, with one line in `why`, if
 * something is wrong.
 */
bool soundness_after_refusal(const struct qc_file *file, const uint8_t *old, uint64_t old_bytes,
			     char *why, size_t why_bytes);
bool soundness_after_commit(struct qc_file *file, const uint8_t *old, uint64_t old_bytes, char *why,
			    size_t why_bytes);
