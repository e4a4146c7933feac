// SPDX-License-Identifier: MIT
/*
 * What the committed state of an image uses, looked up in the file itself: nothing of it may be written
 * over as long as that state is the committed one, so it is there to be looked up until the next one is.
 */
#pragma once

#include "format/header.h"
#include "format/limits.h"
#include "io/file.h"
#include "txn/ranges.h"

struct guard_live {
	struct qc_file *truth;
	bool with_references; /* what is referred to is used, whether it has a count or not */
	bool known;	      /* all that follows is */
	bool is_image;	      /* if not, all of the file counts as used */
	bool is_walked;	      /* if not, so it does where references are asked for */
	struct qc_header header;
	struct qc_geometry geometry;
	uint64_t file_bytes;	     /* of the file as it was */
	struct qc_ranges references; /* whole clusters; few runs in however long a file */
	uint64_t extensions_end, name_at, name_end; /* what the header refers to in cluster 0 */
};

/* Looks at the state that sector 0 of `truth` leads to now. */
void guard_live_load(struct guard_live *live);
void guard_live_clear(struct guard_live *live);

/* Whether any byte of the range is used; sector 0 is, the bytes behind it that nobody needs are not. */
bool guard_live_uses(const struct guard_live *live, uint64_t offset, uint64_t length);

/* Likewise, but only what has a count. */
bool guard_live_counts(const struct guard_live *live, uint64_t offset, uint64_t length);

/* Whether any byte of the range of the data file is one that the image shows. */
bool guard_live_shows(const struct guard_live *live, uint64_t offset, uint64_t length);

/* A commit has bytes to redo, so that the image does not say what the data file has to hold. */
bool guard_live_is_marked(const struct guard_live *live);

/* The data file is a raw image of its own: every byte of it and its length are shown. */
bool guard_live_is_raw(const struct guard_live *live);
