// SPDX-License-Identifier: MIT
/*
 * The patches of `write`: a list of words (at, hex, text, file, fill, zero, discard, expect), from
 * options or from a script, in the order given. Once resolved, each patch has its place and length;
 * no image is opened for that, so what is wrong with the words is said first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "io/file.h"

enum patch_word {
	PATCH_AT,
	PATCH_HEX,
	PATCH_TEXT,
	PATCH_FILE,
	PATCH_FILL,
	PATCH_ZERO,
	PATCH_DISCARD,
	PATCH_EXPECT,
	PATCH_WORD_COUNT,
};

struct patch {
	enum patch_word word; /* never PATCH_AT */
	uint64_t at;	      /* guest bytes */
	uint64_t length;      /* bytes */
	uint8_t *bytes;	      /* hex, text, expect; owned */
	uint8_t fill;	      /* fill */
	char *path;	      /* file; owned */
	struct qc_file *file; /* file: its contents; owned */
};

struct patches {
	struct patch *list;
	size_t count, room;
	uint64_t at;	  /* where the next source goes */
	size_t sources;	  /* patches that are no expectation */
	uint64_t end;	  /* the highest offset that a source reaches */
	bool at_waits;	  /* the last word was an at: a source should follow */
	bool stdin_taken; /* "-" can be read once */
};

/* "hex" gives PATCH_HEX; PATCH_WORD_COUNT if it is no such word. */
enum patch_word patch_word_find(const char *name, size_t length);

/* Appends what `word` with that value means. Fails with QC_E_ARGUMENT if the value makes no sense. */
int patches_add(struct patches *patches, enum patch_word word, const char *value,
		struct qc_err *err);

/* Likewise for a value of `length` bytes, which need not end in a zero byte. */
int patches_add_bytes(struct patches *patches, enum patch_word word, const char *value,
		      size_t length, struct qc_err *err);

/* Appends the words of a script: a path, or "-" for stdin. Errors name the line. */
int patches_add_script(struct patches *patches, const char *path, struct qc_err *err);

void patches_clear(struct patches *patches); /* harmless on a zeroed struct */
