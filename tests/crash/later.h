// SPDX-License-Identifier: MIT
/* What comes after a crash, done by programs that know nothing of it, and what was seen of that. */
#pragma once

#include "crash/shown.h"

enum later {
	LATER_EDIT,  /* an edit of ours */
	LATER_AGAIN, /* what the crash cut short, once more */
	LATER_GUEST, /* qemu-io writes */
	LATER_CHECK, /* qemu-img check */
	LATERS,
};

extern const char *const later_names[LATERS]; /* for tables */

/* What is wrong if a program does not do what it did before, although it cannot know the difference. */
extern const char later_otherwise[];

/* One run in so many is repeated with all that it did not see being something else. */
#define LATER_TWICE 50

struct later_memory {
	struct shown shown[LATERS];
	struct later_outcome *outcomes; /* owned; where nothing crashed */
	size_t count;
};

void later_clear(struct later_memory *memory);

/* The processor time of this process, without the programs that it runs. */
uint64_t later_now_usec(void);

/* What comes out of the version that has that digest; NULL: not known yet. Stays until the next one is set. */
const struct content *later_outcome(const struct later_memory *memory, enum later later,
				    uint64_t digest);
const struct content *later_set_outcome(struct later_memory *memory, enum later later,
					uint64_t digest, const struct content *content);
