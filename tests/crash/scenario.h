// SPDX-License-Identifier: MIT
/* What is done to what: images small enough that every crash can be tried, and edits of them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crash/record_file.h"

struct image_kind {
	const char *name;
	uint32_t version, cluster_bits, refcount_order;
	uint32_t clusters; /* of the disk */
	bool extended_l2, snapshot, compressed, bitmap, autoclear;
	uint32_t skip; /* free clusters inside the file, full of stale bytes */
	uint32_t fill; /* free clusters before them, so that counts just fit into their blocks */
};

struct edit_kind {
	const char *name;
	bool compress;
	bool grows;
	/* Lines of at, length, what, in sixteenths of a cluster unless `bytes`. */
	struct edit_step {
		enum {
			EDIT_END,
			EDIT_WRITE,
			EDIT_ZERO,
			EDIT_DISCARD,
			EDIT_GROW
		} what;
		uint32_t at, length;
		bool bytes;
	} steps[8];
};

extern const struct image_kind image_kinds[];
extern const size_t image_kind_count;
extern const struct edit_kind edit_kinds[];
extern const size_t edit_kind_count;

struct image_bytes {
	uint8_t *bytes; /* owned */
	uint64_t size;
};

void image_kind_build(const struct image_kind *kind, struct image_bytes *ret);

/* False: this edit cannot be made to such an image. */
bool edit_fits(const struct edit_kind *edit, const struct image_kind *kind);

/*
 * Recovers and edits the image in `file`, in one committed transaction, whose guest bytes depend
 * on `seed`. `log` gets all that was done to the file.
 */
void edit_run(const struct edit_kind *edit, uint32_t seed, struct qc_file *file,
	      struct crash_log *log);

/* The edit that is made after a crash: touches the first cluster and one more, and drops one. */
extern const struct edit_kind edit_after_crash;
