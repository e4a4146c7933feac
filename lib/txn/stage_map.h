// SPDX-License-Identifier: MIT
/*
 * Shadow copies of tables. A stage holds the blocks of one kind (all L2 tables, or all refcount
 * blocks) that a transaction looks at or changes: a changed block never goes back to where it came
 * from but to a new place, which is free in the committed state (I1).
 *
 * Calling sequence
 *	qc_stage_get(stage, index, committed_place, &block, &err);	look at block->bytes
 *	qc_stage_change(stage, block);					before changing them
 *	...
 *	qc_stage_flush(stage, &err);					all of them to their new places
 *
 * Only so many blocks are held in memory. When there are more, the one used least lately goes: an
 * unchanged one is dropped, a changed one is written to its new place early and read again when
 * needed. Nothing reaches those places before the commit, so early costs nothing but the write.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "io/file.h"

struct qc_block {
	uint64_t index;
	struct qc_host old_host; /* in the committed state; none: it did not exist */
	struct qc_host new_host; /* none: unchanged, or not yet given a place */
	uint64_t digest;	 /* XXH64 of what was written to new_host last */
	uint8_t *bytes;		 /* NULL while not in memory */
	bool changed;		 /* belongs to the new state */
	uint64_t ways;		 /* an L2 table's: L1 entries that refer to it; 0 counts as 1 */
	uint64_t l1_index;	 /* of those entries, if `ways` is not 0 */
	bool dirty;		 /* bytes differ from what is at new_host */
	struct qc_block *newer, *older;
};

/* Finds a place for a changed block and sets its new_host. */
typedef int qc_stage_place(void *context, struct qc_block *block, struct qc_err *err);

/* Writes to the file on behalf of the transaction. */
typedef int qc_stage_write(void *context, struct qc_host at, const void *bytes, size_t length,
			   struct qc_err *err);

struct qc_stage {
	struct qc_file *file;
	size_t block_bytes;
	size_t room; /* blocks in memory at once */
	qc_stage_place *place;
	void *place_context;
	qc_stage_write *write;
	void *write_context;

	struct qc_block **slots; /* open addressing by index; slot_count is a power of two */
	size_t slot_count;
	size_t count;  /* blocks known */
	size_t loaded; /* of these, in memory */
	size_t changed;
	struct qc_block *newest, *oldest; /* of those in memory */
};

/* The caller fills the members down to write_context of a zeroed struct; room is at least 2. */
int qc_stage_init(struct qc_stage *stage, struct qc_err *err);
void qc_stage_clear(struct qc_stage *stage); /* harmless on a zeroed struct */

/* The block, in memory until the next call but one; `committed` is where it lies if it is not known
 * yet, none for a block of zeroes that does not exist. */
int qc_stage_get(struct qc_stage *stage, uint64_t index, struct qc_host committed,
		 struct qc_block **ret, struct qc_err *err);

/* The block if it is known already, in memory or not, else NULL. */
struct qc_block *qc_stage_find(const struct qc_stage *stage, uint64_t index);

/* Says that the block is about to change; true the first time. */
bool qc_stage_change(struct qc_stage *stage, struct qc_block *block);

/* All changed blocks, sorted by index; *ret is the caller's to free. */
int qc_stage_list(const struct qc_stage *stage, struct qc_block ***ret, struct qc_err *err);

/* Writes every dirty block to its place, which all of them must have, in file order. */
int qc_stage_flush(struct qc_stage *stage, struct qc_err *err);
