// SPDX-License-Identifier: MIT
/*
 * What a program sees of an image, and of the data file beside it, from start to end: which sectors it
 * reads before it has written them itself. Given files that agree in these, and in their lengths, it
 * does the same again, for it has nothing to tell them apart by: holes there are none, for all bytes
 * of each file are put there (folder.h), and neither the time nor chance decides what it does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bitset.h"
#include "crash/log.h"

struct sight {
	struct sight_file {
		uint64_t sectors;	  /* of the file as it was in the beginning */
		struct qc_bitset seen;	  /* read as they were then */
		struct qc_bitset changed; /* written, punched or cut off since */
	} files[CRASH_FILES];
};

/* Nothing is seen yet; the lengths are those of the image and of its data file, in bytes. */
void sight_begin(struct sight *sight, uint64_t image_bytes, uint64_t data_bytes);
void sight_clear(struct sight *sight);

/* Whoever looks next looks at the files as they were; what was seen stays so. */
void sight_restart(struct sight *sight);

/* Whether two runs have looked at the same, and left the same of it. */
bool sight_is_same(const struct sight *a, const struct sight *b);

/*
 * Makes something else of all that was not seen of the file: of its sectors that are not in `given`,
 * nor the first, which goes with these (NULL: none are given).
 */
void sight_garble(const struct sight *sight, unsigned int file, const struct qc_bitset *given,
		  struct image_bytes *bytes);

void sight_read(struct sight *sight, unsigned int file, uint64_t offset, uint64_t length);
void sight_change(struct sight *sight, unsigned int file, uint64_t offset, uint64_t length);
void sight_resize(struct sight *sight, unsigned int file, uint64_t bytes);
