// SPDX-License-Identifier: MIT
/*
 * A handful of slots, searched one after the other: a table maps so much of the disk that readers
 * stay in one for a long time. Memory for a slot is taken when it is first needed.
 */
#include "image/table_cache.h"

#include <stdlib.h>

#include "base/cleanup.h"

struct slot {
	uint64_t host; /* 0: empty; no table can lie there */
	uint64_t used; /* when, by the cache's own clock */
	uint8_t *bytes;
};

struct qc_table_cache {
	struct qc_file *file;
	size_t table_bytes;
	uint64_t clock;
	size_t latest; /* the slot that was asked for last */
	size_t slots;
	struct slot slot[];
};

int qc_table_cache_open(struct qc_file *file, size_t table_bytes, size_t tables,
			struct qc_table_cache **ret, struct qc_err *err)
{
	struct qc_table_cache *cache;

	cache = calloc(1, sizeof(*cache) + tables * sizeof(cache->slot[0]));
	if (!cache)
		return qc_fail_memory(err);
	cache->file = file;
	cache->table_bytes = table_bytes;
	cache->slots = tables;
	*ret = cache;
	return 0;
}

void qc_table_cache_close(struct qc_table_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < cache->slots; i++)
		free(cache->slot[i].bytes);
	free(cache);
}

/* The slot that holds the table, or else the one that goes. */
static size_t find_slot(const struct qc_table_cache *cache, uint64_t host)
{
	size_t oldest = 0;

	for (size_t i = 0; i < cache->slots; i++) {
		if (cache->slot[i].host == host)
			return i;
		if (cache->slot[i].used < cache->slot[oldest].used)
			oldest = i;
	}
	return oldest;
}

static int fill_slot(struct qc_table_cache *cache, struct slot *slot, uint64_t host,
		     struct qc_err *err)
{
	int status;

	if (!slot->bytes)
		slot->bytes = malloc(cache->table_bytes);
	if (!slot->bytes)
		return qc_fail_memory(err);
	slot->host = 0;
	status = qc_file_read(cache->file, host, slot->bytes, cache->table_bytes, err);
	if (status < 0)
		return status;
	slot->host = host;
	return 0;
}

int qc_table_cache_get(struct qc_table_cache *cache, struct qc_host host, const uint8_t **ret,
		       struct qc_err *err)
{
	struct slot *slot = &cache->slot[cache->latest];
	int status;

	if (slot->host != host.byte || slot->host == 0) {
		cache->latest = find_slot(cache, host.byte);
		slot = &cache->slot[cache->latest];
		if (slot->host != host.byte) {
			status = fill_slot(cache, slot, host.byte, err);
			if (status < 0)
				return status;
		}
	}
	slot->used = ++cache->clock;
	*ret = slot->bytes;
	return 0;
}

void qc_table_cache_forget(struct qc_table_cache *cache)
{
	for (size_t i = 0; i < cache->slots; i++)
		cache->slot[i].host = 0;
}
