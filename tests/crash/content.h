// SPDX-License-Identifier: MIT
/* The slow judge: what an image holds, found by reading all of it, and whether it is sound. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/file.h"

struct qc_layer;

struct content {
	bool readable;
	uint64_t digest; /* guest bytes of the active disk and of every snapshot, and the bitmaps */
	uint64_t active; /* guest bytes of the active disk alone */
	uint64_t rest;	 /* of all the others, without the dates of the snapshots */
	uint64_t autoclear; /* the header's bits; in no digest, for anybody may clear them */
	uint64_t leaks, corruptions;
	uint64_t compressed; /* clusters of the active disk */
};

/*
 * Never fails: what cannot be read or checked counts as a corruption. A base is looked for in the
 * scratch folder, see folder.h.
 */
void content_of(struct qc_file *file, struct content *ret);

/* Likewise for an image that is open, and seen through what stands below it. */
void content_of_layer(const struct qc_layer *layer, struct content *ret);

/* Whether the file is the disk of that content, byte for byte: what a raw data file must be. */
bool content_is_disk(const struct content *content, struct qc_file *data);

/* Readable, and with nothing to complain about. */
static inline bool content_is_sound(const struct content *c)
{
	return c->readable && c->leaks == 0 && c->corruptions == 0;
}

/*
 * The same image, as far as anybody can tell. How much is wrong with one that is not sound depends on
 * the length of the file, too, so that does not count.
 */
static inline bool content_is_same(const struct content *a, const struct content *b)
{
	return a->readable && b->readable && a->digest == b->digest && a->autoclear == b->autoclear
	       && content_is_sound(a) == content_is_sound(b)
	       && (a->corruptions > 0) == (b->corruptions > 0) && a->compressed == b->compressed;
}
