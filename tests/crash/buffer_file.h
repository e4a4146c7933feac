// SPDX-License-Identifier: MIT
/*
 * A file over a plain buffer that is used again and again: hundreds of thousands of states are
 * looked at, and a mapping for each of them would cost more than the look.
 */
#pragma once

#include "crash/sight.h"
#include "io/file.h"

struct buffer_file {
	struct qc_file base;
	uint8_t *bytes;
	size_t room;
	bool borrowed;	     /* bytes belong to somebody else; the file cannot be written */
	struct sight *sight; /* NULL: nobody asks what is read, as that file of the two */
	unsigned int number;
};

void buffer_file_init(struct buffer_file *file); /* empty and writable */
void buffer_file_clear(struct buffer_file *file);
/* Becomes a copy. */
void buffer_file_set(struct buffer_file *file, const uint8_t *bytes, uint64_t length);
/* Shows the bytes, which must stay, for reading only. */
void buffer_file_show(struct buffer_file *file, const uint8_t *bytes, uint64_t length);
