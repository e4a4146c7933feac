// SPDX-License-Identifier: MIT
/*
 * From a log to all states that a crash can leave, under the one assumption: a sector is written
 * whole or not at all, and a sync that has returned has done its work. What was issued before a sync
 * is durable after it; what was issued since is there or not, each operation for itself, in any
 * order, and an operation of many sectors may be there in part. Where there is a data file, a sync of
 * one file says nothing of the other.
 *
 * For each sync, just before it, of the operations that are in doubt then:
 *	every prefix of the operations
 *	every subset, up to SUBSET_OPS_MAX operations; beyond that all but one, one alone, and
 *	random subsets
 *	each operation torn at each sector border, its beginning or its end being there, while
 *	those before it are there and those after are not; all others are; none is
 *	all of them, a punch coming last that later writes went over
 *	where they are of two files, each prefix of one with each prefix of the other
 *	all of it with each of enum crash_size
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crash/log.h"
#include "crash/state.h"

#define SUBSET_OPS_MAX 12
#define DOUBT_MAX 4096 /* operations between two syncs */

/* How long the file is, compared with what was written behind its durable end. */
enum crash_size {
	CRASH_SIZE_AS_WRITTEN,	  /* up to the last byte that is there */
	CRASH_SIZE_AHEAD_ZERO,	  /* as after all operations; what is not there is zero */
	CRASH_SIZE_AHEAD_GARBAGE, /* or garbage */
	CRASH_SIZE_BEHIND,	  /* as at the last sync: bytes past it are lost */
	CRASH_SIZE_COUNT,
};

/* One state, as a recipe. */
struct crash_spec {
	size_t issued; /* operations before the crash */
	size_t durable; /* how many of them are there for certain, as far as the image is concerned */
	size_t doubted; /* operations that may be there; see crash_log_doubt() */
	bool present[DOUBT_MAX];
	size_t torn; /* which of the doubted ones is there only in part; STATE_NONE: none */
	uint64_t torn_from, torn_to; /* that part, in sectors of its range */
	size_t late; /* which of them, a punch, comes after all others; STATE_NONE: none */
	enum crash_size size;
};

struct crash_run {
	struct state *state;
	const struct crash_log *log;
	uint64_t
		random_states; /* random subsets for each long stretch and size; the longer, the fewer */
	uint64_t seed;
	size_t from; /* stretches that end at or before this operation are passed over */
	bool no_tears;
	bool few_tears; /* of long operations: all near both ends, one in eight in between */
	/* Called for each state; the state must be as it was afterwards. False stops. */
	bool (*judge)(void *context, struct state *state, const struct crash_spec *spec);
	void *context;
};

/* The size that a log needs at most, of the image or of another file. */
uint64_t crash_log_room(const struct crash_log *log, uint64_t size);
uint64_t crash_log_room_of(const struct crash_log *log, unsigned int file, uint64_t size);

/* The state must be the image that the log starts from, and is so again in the end. */
bool crash_enumerate(struct crash_run *run);

/* Does one operation, whole. */
void crash_apply(struct state *state, const struct crash_op *op);

/* Does the first `count` operations of the log. */
void crash_make_whole(struct state *state, const struct crash_log *log, size_t count);

/* Makes the one state that the recipe describes. */
void crash_make(struct state *state, const struct crash_log *log, const struct crash_spec *spec);

const char *crash_size_name(enum crash_size size);
