// SPDX-License-Identifier: MIT
/* What an image is to everybody who reads it, through its whole chain; two of them can be compared. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crash/content.h"

struct seen {
	bool there;   /* the file exists; if not, all that follows is zero */
	bool pending; /* bytes are to be written to its data file, so it cannot be read */
	struct content content;
	uint64_t backing; /* a digest of the name of the backing file; 0: none */
};

void seen_at(const char *path, struct seen *ret);

/*
 * `path` is where the image is meant to be: names of backing files count from there. Where a data file
 * is a raw image of its own, that it is not the same is a corruption.
 */
void seen_in(struct qc_file *file, const char *path, struct seen *ret);

/* The same to readers, and sound or unsound alike. How data is stored, and when, does not count. */
bool seen_same(const struct seen *a, const struct seen *b);

/* There is no file, or there is nothing to complain about. */
bool seen_sound(const struct seen *seen);

/* "not readable", "3 leaks", ...: for messages; static, overwritten by the next call. */
const char *seen_text(const struct seen *seen);
