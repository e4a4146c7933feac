// SPDX-License-Identifier: MIT
#include "txn/stage_map.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/cleanup.h"

#define SLOTS_AT_FIRST 64

/* --- the table of known blocks --- */

static size_t slot_of(const struct qc_stage *stage, uint64_t index)
{
	uint64_t spread = index * UINT64_C(0x9e3779b97f4a7c15);
	size_t slot = (size_t)(spread >> 32) & (stage->slot_count - 1);

	while (stage->slots[slot] && stage->slots[slot]->index != index)
		slot = (slot + 1) & (stage->slot_count - 1);
	return slot;
}

static int make_slots(struct qc_stage *stage, struct qc_err *err)
{
	struct qc_block **old = stage->slots;
	size_t old_count = stage->slot_count;
	size_t new_count = old_count ? old_count * 2 : SLOTS_AT_FIRST;
	struct qc_block **grown = calloc(new_count, sizeof(*grown));

	if (!grown)
		return qc_fail_memory(err);
	stage->slots = grown;
	stage->slot_count = new_count;
	for (size_t i = 0; i < old_count; i++)
		if (old[i])
			grown[slot_of(stage, old[i]->index)] = old[i];
	free(old);
	return 0;
}

int qc_stage_init(struct qc_stage *stage, struct qc_err *err)
{
	return make_slots(stage, err);
}

void qc_stage_clear(struct qc_stage *stage)
{
	for (size_t i = 0; i < stage->slot_count; i++) {
		if (!stage->slots[i])
			continue;
		free(stage->slots[i]->bytes);
		free(stage->slots[i]);
	}
	free(stage->slots);
	*stage = (struct qc_stage){0};
}

struct qc_block *qc_stage_find(const struct qc_stage *stage, uint64_t index)
{
	return stage->slots[slot_of(stage, index)];
}

/* --- which blocks are in memory --- */

static void unlink_block(struct qc_stage *stage, struct qc_block *block)
{
	*(block->newer ? &block->newer->older : &stage->newest) = block->older;
	*(block->older ? &block->older->newer : &stage->oldest) = block->newer;
	block->newer = block->older = NULL;
}

static void link_newest(struct qc_stage *stage, struct qc_block *block)
{
	block->older = stage->newest;
	*(stage->newest ? &stage->newest->newer : &stage->oldest) = block;
	stage->newest = block;
}

static int write_block(struct qc_stage *stage, struct qc_block *block, struct qc_err *err)
{
	int status;

	assert(block->changed && !qc_host_is_none(block->new_host));
	status = stage->write(stage->write_context, block->new_host, block->bytes,
			      stage->block_bytes, err);
	if (status < 0)
		return status;
	block->digest = XXH64(block->bytes, stage->block_bytes, 0);
	block->dirty = false;
	return 0;
}

static int evict_oldest(struct qc_stage *stage, struct qc_err *err)
{
	struct qc_block *block = stage->oldest;
	int status = 0;

	if (block->dirty && qc_host_is_none(block->new_host))
		status = stage->place(stage->place_context, block, err);
	if (status == 0 && block->dirty)
		status = write_block(stage, block, err);
	if (status < 0)
		return status;
	unlink_block(stage, block);
	free(block->bytes);
	block->bytes = NULL;
	stage->loaded--;
	return 0;
}

static int load_block(struct qc_stage *stage, struct qc_block *block, struct qc_err *err)
{
	struct qc_host from = qc_host_is_none(block->new_host) ? block->old_host : block->new_host;
	QC_AUTOFREE uint8_t *bytes = NULL;
	int status;

	while (stage->loaded >= stage->room)
		if ((status = evict_oldest(stage, err)) < 0)
			return status;
	bytes = qc_host_is_none(from) ? calloc(1, stage->block_bytes) : malloc(stage->block_bytes);
	if (!bytes)
		return qc_fail_memory(err);
	if (!qc_host_is_none(from)
	    && (status = qc_file_read(stage->file, from.byte, bytes, stage->block_bytes, err)) < 0)
		return qc_err_context(err, "table at host offset 0x%" PRIx64, from.byte);
	block->bytes = qc_steal(&bytes);
	link_newest(stage, block);
	stage->loaded++;
	return 0;
}

int qc_stage_get(struct qc_stage *stage, uint64_t index, struct qc_host committed,
		 struct qc_block **ret, struct qc_err *err)
{
	struct qc_block *block = qc_stage_find(stage, index);
	int status;

	if (!block) {
		if (stage->count * 4 >= stage->slot_count * 3
		    && (status = make_slots(stage, err)) < 0)
			return status;
		block = calloc(1, sizeof(*block));
		if (!block)
			return qc_fail_memory(err);
		block->index = index;
		block->old_host = committed;
		stage->slots[slot_of(stage, index)] = block;
		stage->count++;
	}
	if (!block->bytes) {
		if ((status = load_block(stage, block, err)) < 0)
			return status;
	} else if (block != stage->newest) {
		unlink_block(stage, block);
		link_newest(stage, block);
	}
	*ret = block;
	return 0;
}

bool qc_stage_change(struct qc_stage *stage, struct qc_block *block)
{
	bool first = !block->changed;

	if (first)
		stage->changed++;
	block->changed = true;
	block->dirty = true;
	return first;
}

/* --- all changed blocks --- */

static int by_index(const void *a, const void *b)
{
	const struct qc_block *x = *(struct qc_block *const *)a, *y = *(struct qc_block *const *)b;

	return (x->index > y->index) - (x->index < y->index);
}

static int by_place(const void *a, const void *b)
{
	const struct qc_block *x = *(struct qc_block *const *)a, *y = *(struct qc_block *const *)b;

	return (x->new_host.byte > y->new_host.byte) - (x->new_host.byte < y->new_host.byte);
}

int qc_stage_list(const struct qc_stage *stage, struct qc_block ***ret, struct qc_err *err)
{
	struct qc_block **list = calloc(stage->changed + 1, sizeof(struct qc_block *));
	size_t count = 0;

	if (!list)
		return qc_fail_memory(err);
	for (size_t i = 0; i < stage->slot_count; i++)
		if (stage->slots[i] && stage->slots[i]->changed)
			list[count++] = stage->slots[i];
	assert(count == stage->changed);
	qsort(list, count, sizeof(struct qc_block *), by_index);
	*ret = list;
	return 0;
}

int qc_stage_flush(struct qc_stage *stage, struct qc_err *err)
{
	QC_AUTOFREE struct qc_block **list = NULL;
	int status;

	if ((status = qc_stage_list(stage, &list, err)) < 0)
		return status;
	qsort(list, stage->changed, sizeof(struct qc_block *), by_place);
	for (size_t i = 0; i < stage->changed; i++)
		if (list[i]->dirty && (status = write_block(stage, list[i], err)) < 0)
			return status;
	return 0;
}
