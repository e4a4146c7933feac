// SPDX-License-Identifier: MIT
#include "crash/state.h"

#include <string.h>
#include <xxhash.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "check/check.h"
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

void state_put_beside(struct state *image, struct state *data)
{
	must(image->undo_bytes == 0 && data->undo_bytes == 0);
	image->beside = data;
	data->image = image;
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

bool state_is(const struct state *s, size_t version)
{
	const struct version *v = &s->versions[version];

	return s->wrong_count[version] == 0 && s->size >= qc_min(v->size, v->used_end)
	       && memcmp(s->bytes, v->bytes, SECTOR) == 0;
}

size_t state_version(const struct state *s, size_t durable)
{
	for (size_t i = s->version_count; i-- > 0;)
		if (durable < s->versions[i].gone_at && state_is(s, i))
			return i;
	return STATE_NONE;
}

/* --- versions --- */

static void take_finding(void *context, const struct qc_finding *finding)
{
	(void)context, (void)finding;
}

struct usage {
	struct version *v;
	uint64_t sectors, sectors_each;
};

static void use_cluster(const struct usage *u, uint64_t cluster)
{
	uint64_t first = cluster * u->sectors_each;

	if (first < u->sectors)
		qc_bitset_add_range(&u->v->used, first,
				    qc_min(u->sectors_each, u->sectors - first));
}

static int take_reference(void *context, uint64_t cluster, uint64_t stored, uint64_t found,
			  struct qc_err *err)
{
	(void)stored, (void)err;
	if (found > 0)
		use_cluster(context, cluster);
	return 0;
}

/* The clusters that have a count; in a sound image those are the ones in use. */
static void use_counted(const struct usage *u, const struct qc_header *header,
			const struct qc_geometry *g)
{
	uint64_t entries = header->refcount_table_clusters * g->cluster_bytes / 8;

	for (uint64_t i = 0; i < entries; i++) {
		uint64_t at = qc_load_be64(u->v->bytes + header->refcount_table.byte + i * 8);

		if (at == 0 || !qc_is_aligned(at, g->cluster_bytes))
			continue;
		for (uint64_t j = 0; j < g->refcounts_per_block; j++)
			if (qc_refcount_get(g, u->v->bytes + at, j) > 0)
				use_cluster(u, i * g->refcounts_per_block + j);
	}
}

/* Where the header, its extensions and the name of the base end. */
static uint64_t header_end(const struct version *v, const struct qc_header *header)
{
	uint64_t at = header->header_bytes, type, length;

	do {
		type = qc_load_be32(v->bytes + at);
		length = qc_load_be32(v->bytes + at + 4);
		at += 8 + qc_align_up(length, 8);
		must(at < v->size);
	} while (type != 0);
	return qc_max(at, header->backing_name.byte + header->backing_name_bytes);
}

/* What lies behind that in the header's cluster is room, which a commit may write to before it. */
static void spare_room(const struct usage *u, const struct qc_header *header)
{
	uint64_t first = qc_div_up(header_end(u->v, header), SECTOR);

	for (uint64_t i = first; i < u->sectors_each; i++)
		qc_bitset_remove(&u->v->used, i);
}

/* Those that are referred to count as well: the version may be one that is to be repaired. */
static void find_used(struct version *v, struct qc_file *file, uint64_t sectors)
{
	const struct qc_finding_sink none = {take_finding, NULL};
	struct usage u = {.v = v, .sectors = sectors};
	const struct qc_check_options options = {
		.without_refcounts = true,
		.mismatch = take_reference,
		.context = &u,
	};
	struct qc_check_result result;
	struct qc_header header;
	struct qc_geometry g;
	struct qc_err err;

	must(qc_header_decode(v->bytes, SECTOR, &none, &header, &err) == 0);
	qc_header_geometry(&header, &g);
	must(qc_bitset_init(&v->used, sectors));
	u.sectors_each = g.cluster_bytes / SECTOR;
	use_counted(&u, &header, &g);
	if (!content_is_sound(&v->content))
		must(qc_check_run(file, &options, &none, &result, &err) == 0);
	spare_room(&u, &header);
	v->used_end = qc_bitset_end(&v->used) * SECTOR;
	qc_bitset_remove(&v->used, 0);
}

static uint64_t digest_of(const struct version *v)
{
	const struct qc_bitset *used = &v->used;
	uint64_t digest = XXH3_64bits(v->bytes, SECTOR);

	for (uint64_t i = qc_bitset_next(used, 0), end; i < used->bits;
	     i = qc_bitset_next(used, end)) {
		const uint64_t place[] = {i, end = qc_bitset_next_absent(used, i)};

		digest = XXH3_64bits_withSeed(place, sizeof(place), digest);
		digest = XXH3_64bits_withSeed(v->bytes + i * SECTOR, (size_t)(end - i) * SECTOR,
					      digest);
	}
	return digest;
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
	must(v->content.readable);
	find_used(v, &file.base, s->room / SECTOR);
	v->digest = digest_of(v);
	s->wrong_count[index] = 0;
	judge_range(s, 0, s->room);
}

void state_set(struct state *s, const uint8_t *bytes, uint64_t size)
{
	must(size <= s->room);
	memcpy(s->bytes, bytes, (size_t)size);
	memset(s->bytes + size, 0, (size_t)(s->room - size));
	s->size = size;
	s->undo_bytes = 0;
	judge_range(s, 0, s->room);
}

/* --- changes --- */

struct saved {
	struct state *of;
	uint64_t offset, length, size;
};

static void save(struct state *s, uint64_t offset, uint64_t length)
{
	struct saved saved = {s, offset, length, s->size};
	struct state *to = s->image ? s->image : s;
	size_t needed = to->undo_bytes + (size_t)length + sizeof(saved);

	if (needed > to->undo_room) {
		to->undo_room = 2 * needed;
		to->undo = realloc(to->undo, to->undo_room);
		must(to->undo);
	}
	memcpy(to->undo + to->undo_bytes, s->bytes + offset, (size_t)length);
	memcpy(to->undo + to->undo_bytes + length, &saved, sizeof(saved));
	to->undo_bytes = needed;
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
		memcpy(saved.of->bytes + saved.offset, s->undo + s->undo_bytes,
		       (size_t)saved.length);
		saved.of->size = saved.size;
		judge_range(saved.of, saved.offset, saved.length);
	}
}
