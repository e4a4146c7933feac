// SPDX-License-Identifier: MIT
#include "crash/state.h"

#include <string.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "crash/buffer_file.h"
#include "crash/must.h"
#include "format/header.h"
#include "format/refcount_entry.h"

void state_init(struct state *s, const uint8_t *bytes, uint64_t size, uint64_t room)
{
	*s = (struct state){.size = size, .room = qc_align_up(room, SECTOR)};
	must(size <= room);
	s->bytes = calloc(1, (size_t)s->room);
	must(s->bytes);
	memcpy(s->bytes, bytes, (size_t)size);
}

void state_clear(struct state *s)
{
	for (size_t i = 0; i < s->version_count; i++) {
		free(s->versions[i].bytes);
		qc_bitset_clear(&s->versions[i].used);
		qc_bitset_clear(&s->wrong[i]);
	}
	free(s->bytes);
	free(s->undo);
	*s = (struct state){0};
}

/* --- the judge --- */

static void judge_sector(struct state *s, uint64_t sector)
{
	const uint8_t *now = s->bytes + sector * SECTOR;

	for (size_t i = 0; i < s->version_count; i++) {
		bool was, is;

		if (!qc_bitset_has(&s->versions[i].used, sector))
			continue;
		was = qc_bitset_has(&s->wrong[i], sector);
		is = memcmp(now, s->versions[i].bytes + sector * SECTOR, SECTOR) != 0;
		if (is && !was) {
			qc_bitset_add(&s->wrong[i], sector);
			s->wrong_count[i]++;
		} else if (!is && was) {
			qc_bitset_remove(&s->wrong[i], sector);
			s->wrong_count[i]--;
		}
	}
}

static void judge_range(struct state *s, uint64_t offset, uint64_t length)
{
	for (uint64_t i = offset / SECTOR; i < qc_div_up(offset + length, SECTOR); i++)
		judge_sector(s, i);
}

size_t state_version(const struct state *s, size_t durable)
{
	for (size_t i = s->version_count; i-- > 0;) {
		const struct version *v = &s->versions[i];

		if (s->wrong_count[i] == 0 && durable < v->gone_at
		    && s->size >= qc_min(v->size, v->used_end)
		    && memcmp(s->bytes, v->bytes, SECTOR) == 0)
			return i;
	}
	return STATE_NONE;
}

/* --- versions --- */

static void take_finding(void *context, const struct qc_finding *finding)
{
	(void)context, (void)finding;
}

/* In an image without leaks and corruptions the clusters in use are those that have a count. */
static void find_used(struct version *v, uint64_t sectors)
{
	const struct qc_finding_sink none = {take_finding, NULL};
	struct qc_header header;
	struct qc_geometry g;
	struct qc_err err;
	uint64_t entries, sectors_each;

	must(qc_header_decode(v->bytes, SECTOR, &none, &header, &err) == 0);
	qc_header_geometry(&header, &g);
	must(qc_bitset_init(&v->used, sectors));
	entries = header.refcount_table_clusters * g.cluster_bytes / 8;
	sectors_each = g.cluster_bytes / SECTOR;
	for (uint64_t i = 0; i < entries; i++) {
		uint64_t block = qc_load_be64(v->bytes + header.refcount_table.byte + i * 8);

		for (uint64_t j = 0; block != 0 && j < g.refcounts_per_block; j++) {
			uint64_t first = (i * g.refcounts_per_block + j) * sectors_each;

			if (first >= sectors || qc_refcount_get(&g, v->bytes + block, j) == 0)
				continue;
			qc_bitset_add_range(&v->used, first, qc_min(sectors_each, sectors - first));
		}
	}
	v->used_end = qc_bitset_end(&v->used) * SECTOR;
	qc_bitset_remove(&v->used, 0);
}

void state_add_version(struct state *s, const uint8_t *bytes, uint64_t size)
{
	size_t index = s->version_count++;
	struct version *v = &s->versions[index];
	struct buffer_file file;

	must(index < VERSIONS_MAX && size <= s->room);
	*v = (struct version){.size = size, .gone_at = STATE_NONE};
	v->bytes = calloc(1, (size_t)s->room);
	must(v->bytes && qc_bitset_init(&s->wrong[index], s->room / SECTOR));
	memcpy(v->bytes, bytes, (size_t)size);
	buffer_file_init(&file);
	buffer_file_show(&file, bytes, size);
	content_of(&file.base, &v->content);
	must(content_is_sound(&v->content));
	find_used(v, s->room / SECTOR);
	s->wrong_count[index] = 0;
	judge_range(s, 0, s->room);
}

/* --- changes --- */

struct saved {
	uint64_t offset, length, size;
};

static void save(struct state *s, uint64_t offset, uint64_t length)
{
	struct saved saved = {offset, length, s->size};
	size_t needed = s->undo_bytes + (size_t)length + sizeof(saved);

	if (needed > s->undo_room) {
		s->undo_room = 2 * needed;
		s->undo = realloc(s->undo, s->undo_room);
		must(s->undo);
	}
	memcpy(s->undo + s->undo_bytes, s->bytes + offset, (size_t)length);
	memcpy(s->undo + s->undo_bytes + length, &saved, sizeof(saved));
	s->undo_bytes = needed;
}

void state_write(struct state *s, uint64_t offset, uint64_t length, const uint8_t *bytes)
{
	must(offset + length <= s->room);
	save(s, offset, length);
	memcpy(s->bytes + offset, bytes, (size_t)length);
	s->size = qc_max(s->size, offset + length);
	judge_range(s, offset, length);
}

void state_fill(struct state *s, uint64_t offset, uint64_t length, uint8_t byte)
{
	must(offset + length <= s->size);
	save(s, offset, length);
	memset(s->bytes + offset, byte, (size_t)length);
	judge_range(s, offset, length);
}

void state_resize(struct state *s, uint64_t size)
{
	uint64_t lost = size < s->size ? s->size - size : 0;

	must(size <= s->room);
	save(s, size, lost);
	memset(s->bytes + size, 0, (size_t)lost);
	judge_range(s, size, lost);
	s->size = size;
}

size_t state_mark(const struct state *s)
{
	return s->undo_bytes;
}

void state_rewind(struct state *s, size_t mark)
{
	struct saved saved;

	while (s->undo_bytes > mark) {
		s->undo_bytes -= sizeof(saved);
		memcpy(&saved, s->undo + s->undo_bytes, sizeof(saved));
		s->undo_bytes -= (size_t)saved.length;
		memcpy(s->bytes + saved.offset, s->undo + s->undo_bytes, (size_t)saved.length);
		s->size = saved.size;
		judge_range(s, saved.offset, saved.length);
	}
}
