// SPDX-License-Identifier: MIT
/*
 * A file as a crash may leave it, changed back and forth in one buffer, and the fast judge.
 *
 * A version is an image that the state is allowed to be: its bytes, and the sectors of the clusters
 * that it uses. A state is a version if its sector 0 is the version's and all those sectors are,
 * bit for bit; whatever stands in other clusters cannot be reached, nor leak. That is exact, up to
 * sectors of used clusters that happen to hold nothing, and costs time for those sectors only that
 * change from one state to the next: for each version the number of wrong ones is kept.
 *
 * What must stay true
 * 1. Beyond `size` the buffer holds zeroes.
 * 2. wrong_count[v] is the number of set bits in wrong[v].
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bitset.h"
#include "crash/content.h"

#define SECTOR ((uint64_t)512)
#define VERSIONS_MAX 10

struct version {
	uint8_t *bytes; /* state->room of them, zeroes behind the end */
	uint64_t size;
	uint64_t used_end;     /* one past the last sector in use */
	struct qc_bitset used; /* sectors of clusters in use, but for sector 0 */
	uint64_t digest;       /* of which those are, and of what they and sector 0 hold */
	struct content content;
	size_t gone_at; /* once that many operations are durable the state cannot be this one */
};

struct state {
	struct state *beside; /* the data file, which has no versions; borrowed */
	struct state *image;  /* of a data file: the image, whose stack is theirs both */
	uint8_t *bytes;
	uint64_t size;
	uint64_t room; /* a multiple of SECTOR; no operation of the log reaches beyond */
	struct version versions[VERSIONS_MAX];
	size_t version_count;
	struct qc_bitset wrong[VERSIONS_MAX];
	uint64_t wrong_count[VERSIONS_MAX];
	uint8_t *undo; /* a stack of saved stretches, each followed by its struct saved */
	size_t undo_bytes, undo_room;
};

#define STATE_NONE ((size_t)-1)

/* Starts as a copy of the image. The buffer has room for that file size. */
void state_init(struct state *s, const uint8_t *bytes, uint64_t size, uint64_t room);
void state_clear(struct state *s);

/* From now on both change, and are taken back, together. Neither may move. */
void state_put_beside(struct state *image, struct state *data);

/* Allows the state to be this image. */
void state_add_version(struct state *s, const uint8_t *bytes, uint64_t size);

/* Becomes a copy of an image; nothing of before can be taken back. */
void state_set(struct state *s, const uint8_t *bytes, uint64_t size);

/* Changes; state_rewind() takes back all that were made since state_mark() gave that number. */
void state_write(struct state *s, uint64_t offset, uint64_t length, const uint8_t *bytes);
void state_fill(struct state *s, uint64_t offset, uint64_t length, uint8_t byte);
void state_resize(struct state *s, uint64_t size);
size_t state_mark(const struct state *s);
void state_rewind(struct state *s, size_t mark);

bool state_is(const struct state *s, size_t version);

/* Which version the state is; STATE_NONE if it is none that is still possible. */
size_t state_version(const struct state *s, size_t durable);
