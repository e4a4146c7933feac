// SPDX-License-Identifier: MIT
#include "tests/support/guard_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitset.h"
#include "base/byte_order.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/header.h"
#include "format/header_extensions.h"
#include "format/limits.h"
#include "format/refcount_entry.h"
#include "tests/support/image_builder_impl.h"

enum phase {
	BEFORE,	 /* something was written since the last full sync */
	SYNCED,	 /* nothing was */
	FLIPPED, /* sector 0 was written and may or may not be on the storage */
};

struct guard {
	struct qc_file base;
	struct qc_file *inner;
	struct qc_file *truth; /* what the guard itself looks at */
	enum phase phase;
	unsigned int flips;
	uint64_t cluster_bytes;
	struct qc_bitset live;
	uint64_t extensions_end, name_at, name_end; /* what the header refers to in cluster 0 */
	char violation[256];
};

static struct guard *guard_of(struct qc_file *file)
{
	return (struct guard *)file;
}

static void must_read(struct guard *g, uint64_t offset, void *buffer, size_t length)
{
	struct qc_err err;

	builder_must(qc_file_read(g->truth, offset, buffer, length, &err) == 0,
		     "the guard cannot read the image");
}

static void take_block(struct guard *g, const struct qc_geometry *geometry, uint64_t index,
		       const uint8_t *block)
{
	uint64_t first = index * geometry->refcounts_per_block;
	uint64_t used = 0, free_at;

	while ((used = qc_refcount_next_used(geometry, block, used))
	       < geometry->refcounts_per_block) {
		free_at = qc_refcount_next_free(geometry, block, used);
		builder_must(qc_bitset_grow(&g->live, first + geometry->refcounts_per_block),
			     "out of memory");
		qc_bitset_add_range(&g->live, first + used, free_at - used);
		used = free_at;
	}
}

static void ignore_finding(void *context, const struct qc_finding *finding)
{
	(void)context, (void)finding;
}

static void find_names(struct guard *g, const struct qc_header *header)
{
	struct qc_finding_sink sink = {.take = ignore_finding};
	QC_AUTOFREE uint8_t *cluster0 = malloc((size_t)g->cluster_bytes);
	struct qc_extensions extensions;
	struct qc_err err;

	builder_must(cluster0 != NULL, "out of memory");
	must_read(g, 0, cluster0, (size_t)g->cluster_bytes);
	builder_must(qc_extensions_decode(header, cluster0, (size_t)g->cluster_bytes, &sink,
					  &extensions, &err)
			     == 0,
		     "out of memory");
	g->extensions_end = extensions.end_offset;
	g->name_at = header->backing_name.byte;
	g->name_end = g->name_at + header->backing_name_bytes;
	qc_extensions_clear(&extensions);
}

/* What the tables that sector 0 leads to say is used. */
static void find_live(struct guard *g)
{
	struct qc_finding_sink sink = {.take = ignore_finding};
	uint8_t sector[QC_SECTOR_BYTES];
	struct qc_geometry geometry;
	struct qc_header header;
	struct qc_err err;
	QC_AUTOFREE uint8_t *block = NULL;

	must_read(g, 0, sector, sizeof(sector));
	builder_must(qc_header_decode(sector, sizeof(sector), &sink, &header, &err) == 0,
		     "the guard finds no image");
	qc_header_geometry(&header, &geometry);
	g->cluster_bytes = geometry.cluster_bytes;
	find_names(g, &header);
	qc_bitset_clear(&g->live);
	builder_must(qc_bitset_init(&g->live, 1), "out of memory");
	block = malloc((size_t)geometry.cluster_bytes);
	builder_must(block != NULL, "out of memory");
	for (uint64_t i = 0; i < header.refcount_table_clusters * geometry.cluster_bytes / 8; i++) {
		uint8_t word[8];
		uint64_t at;

		must_read(g, header.refcount_table.byte + i * 8, word, sizeof(word));
		at = qc_load_be64(word) & QC_REFCOUNT_TABLE_OFFSET_MASK;
		if (at == 0)
			continue;
		must_read(g, at, block, (size_t)geometry.cluster_bytes);
		take_block(g, &geometry, i, block);
	}
}

static bool is_live(const struct guard *g, uint64_t offset, uint64_t length)
{
	uint64_t first = offset / g->cluster_bytes;
	uint64_t end = qc_div_up(offset + length, g->cluster_bytes);

	return length > 0 && qc_bitset_next(&g->live, first) < qc_min(end, g->live.bits);
}

static int violate(struct guard *g, const char *what, uint64_t offset, uint64_t length,
		   struct qc_err *err)
{
	if (g->violation[0] == '\0')
		snprintf(g->violation, sizeof(g->violation),
			 "%s of %" PRIu64 " bytes at 0x%" PRIx64 " %s", what, length, offset,
			 g->phase == FLIPPED ? "between the flip and its sync"
					     : "that the committed state uses");
	return qc_fail(err, QC_E_ARGUMENT, "guard: %s", g->violation);
}

/* Whether a write only touches bytes of cluster 0, behind sector 0, that the header refers to in no way. */
static bool is_beside_header(const struct guard *g, uint64_t offset, uint64_t length)
{
	return offset >= qc_max(QC_SECTOR_BYTES, g->extensions_end)
	       && offset + length <= g->cluster_bytes
	       && (offset >= g->name_end || offset + length <= g->name_at);
}

/* Any change but the flip. */
static int allow(struct guard *g, const char *what, uint64_t offset, uint64_t length,
		 struct qc_err *err)
{
	if (g->phase == FLIPPED
	    || (is_live(g, offset, length) && !is_beside_header(g, offset, length)))
		return violate(g, what, offset, length, err);
	g->phase = BEFORE;
	return 0;
}

static int guard_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
		      struct qc_err *err)
{
	return qc_file_read(guard_of(file)->inner, offset, buffer, length, err);
}

/* The flip. A write that was refused as a whole is none. */
static int flip(struct guard *g, const void *sector, struct qc_err *err)
{
	uint8_t before[QC_SECTOR_BYTES], after[QC_SECTOR_BYTES];
	int status;

	must_read(g, 0, before, sizeof(before));
	status = qc_file_write(g->inner, 0, sector, QC_SECTOR_BYTES, err);
	must_read(g, 0, after, sizeof(after));
	if (status < 0 && memcmp(before, after, sizeof(after)) == 0)
		return status;
	g->phase = FLIPPED;
	g->flips++;
	return status;
}

static int guard_write(struct qc_file *file, uint64_t offset, const void *buffer, size_t length,
		       struct qc_err *err)
{
	struct guard *g = guard_of(file);
	int status;

	if (offset == 0 && length == QC_SECTOR_BYTES && g->phase == SYNCED)
		return flip(g, buffer, err);
	if ((status = allow(g, "write", offset, length, err)) < 0)
		return status;
	status = qc_file_write(g->inner, offset, buffer, length, err);
	file->bytes = g->inner->bytes;
	return status;
}

static int guard_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	struct guard *g = guard_of(file);
	uint64_t cut = file->bytes > bytes ? file->bytes - bytes : 0;
	int status = allow(g, "resize", bytes, cut, err);

	if (status == 0)
		status = qc_file_resize(g->inner, bytes, err);
	file->bytes = g->inner->bytes;
	return status;
}

static int guard_punch(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err)
{
	int status = allow(guard_of(file), "punch", offset, length, err);

	return status < 0 ? status : qc_file_punch(guard_of(file)->inner, offset, length, err);
}

static int guard_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	struct guard *g = guard_of(file);
	int status = qc_file_sync(g->inner, kind, err);

	if (status < 0)
		return status;
	if (g->phase == FLIPPED)
		find_live(g);
	if (g->phase == FLIPPED || kind == QC_SYNC_FULL)
		g->phase = g->phase == FLIPPED ? BEFORE : SYNCED;
	return 0;
}

static int guard_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
			uint64_t *ret_length, struct qc_err *err)
{
	return qc_file_extent(guard_of(file)->inner, offset, length, ret_data, ret_length, err);
}

static void guard_close(struct qc_file *file)
{
	qc_bitset_clear(&guard_of(file)->live);
	free(file);
}

struct qc_file *guard_file_open(struct qc_file *inner, struct qc_file *truth)
{
	static const struct qc_file_ops ops = {
		.read = guard_read,
		.write = guard_write,
		.resize = guard_resize,
		.punch = guard_punch,
		.sync = guard_sync,
		.extent = guard_extent,
		.close = guard_close,
	};
	struct guard *g = calloc(1, sizeof(*g));

	builder_must(g != NULL, "out of memory");
	g->base = (struct qc_file){
		.ops = &ops,
		.bytes = inner->bytes,
		.fixed_length = inner->fixed_length,
		.writable = true,
	};
	g->inner = inner;
	g->truth = truth;
	find_live(g);
	return &g->base;
}

const char *guard_violation(const struct qc_file *guard)
{
	const struct guard *g = (const struct guard *)guard;

	return g->violation[0] != '\0' ? g->violation : NULL;
}

unsigned int guard_flips(const struct qc_file *guard)
{
	return ((const struct guard *)guard)->flips;
}
