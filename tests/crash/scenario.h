// SPDX-License-Identifier: MIT
/* What is done to what: images small enough that every crash can be tried, and edits of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "crash/folder.h"
#include "crash/log.h"
#include "crash/sight.h"

/* --- images --- */

enum damage {
	DAMAGE_NONE,
	DAMAGE_LEAKS,  /* clusters that nothing refers to have counts */
	DAMAGE_COUNTS, /* that too, and used ones have a count that is too low or too high */
	DAMAGE_FLAGS,  /* COPIED flags do not say what the counts do */
	DAMAGE_MARKS,  /* the header says dirty and corrupt, and there are leaks */
	DAMAGE_ENTRY,  /* an entry sets aside a cluster that is none */
	DAMAGE_BLOCKS, /* the refcount table leads nowhere */
};

enum interrupted {
	INTERRUPTED_NO,
	INTERRUPTED_BEFORE, /* an edit's journal is there, but sector 0 is the old one */
	INTERRUPTED_AFTER,  /* the new one is; nothing was given back */
};

struct image_kind {
	const char *name;
	uint32_t version, cluster_bits, refcount_order;
	uint32_t clusters; /* of the disk */
	uint32_t snapshots;
	bool extended_l2, compressed, zstd, autoclear;
	bool bitmap;   /* a dirty bitmap that is disabled */
	bool watched;  /* one that is enabled, beside a disabled one */
	bool backing;  /* on one of the two bases that are beside it */
	bool longer;   /* the disk was, when the first snapshot was taken */
	uint32_t skip; /* free clusters inside the file, full of stale bytes */
	uint32_t fill; /* free clusters before them, so that counts just fit into their blocks */
	enum damage damage;
	enum interrupted interrupted;
};

extern const struct image_kind image_kinds[];
extern const size_t image_kind_count;

/* Builds it, and puts its bases, if it has such, into the folder. */
void image_kind_build(const struct image_kind *kind, struct image_bytes *ret);

/* Puts the two bases of such images into the folder. */
void image_put_bases(uint32_t cluster_bits, uint64_t disk_bytes);

/* Bytes that depend on the seed; returns the buffer. */
const uint8_t *image_pattern(uint8_t *buffer, uint64_t length, uint32_t seed);

/* --- edits --- */

enum verb {
	VERB_STEPS,
	VERB_DECOMPRESS, /* in batches of `batch` clusters, if that is not 0 */
	VERB_REPAIR,
	VERB_REPAIR_LEAKS,
	VERB_RECOVER,
	VERB_REBASE, /* onto `base` */
};

enum step {
	STEP_END,
	STEP_WRITE,
	STEP_ZERO,
	STEP_DISCARD,
	STEP_GROW,
	STEP_CREATE, /* a snapshot */
	STEP_APPLY,  /* the one at that index, as are these */
	STEP_DELETE,
	STEP_RENAME,
	STEP_COMMIT, /* what follows is another transaction */
};

struct edit_kind {
	const char *name;
	const char *group; /* whose sums are shown together */
	enum verb verb;
	bool compress;
	bool grows;
	/* Lines of what, at, length, in sixteenths of a cluster unless `bytes`. */
	struct edit_step {
		enum step what;
		uint32_t at, length;
		bool bytes;
	} steps[8];
	uint32_t batch;
	const char *base; /* a name; NULL: none any more */
	bool again;	  /* may be cut short and done again, and then ends the same */
};

extern const struct edit_kind edit_kinds[];
extern const size_t edit_kind_count;

/* The edit that is made after a crash: touches the first cluster and one more, and drops one. */
extern const struct edit_kind edit_after_crash;

/* False: this edit cannot be made to such an image. */
bool edit_fits(const struct edit_kind *edit, const struct image_kind *kind);

/* Such an edit begins with an image that is not sound. */
bool edit_repairs(const struct edit_kind *edit);

/*
 * Recovers and edits the image file at `path`, all commits included. Guest bytes that are written
 * depend on `seed`.
 */
int edit_file(const struct edit_kind *edit, uint32_t seed, const char *path, struct qc_err *err);

/*
 * Likewise, an image in memory, which becomes what the edit leaves; it must succeed and
 * keep its promises (promises.h). `log` (NULL: nothing) gets all that was done to the file, and
 * `sight` (likewise) what the edit and the guard read of it, and what became of it.
 */
void edit_bytes(const struct edit_kind *edit, uint32_t seed, struct image_bytes *image,
		struct crash_log *log, struct sight *sight);
