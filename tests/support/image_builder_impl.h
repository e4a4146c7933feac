// SPDX-License-Identifier: MIT
/* What the two halves of the image builder share. */
#pragma once

#include "tests/support/image_builder.h"

#include "format/bitmap_directory.h"
#include "format/snapshot_table.h"

struct builder_bytes {
	uint32_t type;
	uint32_t length;
	uint8_t *payload;
};

/*
 * The image grows at its end; a cluster that nothing refers to any more is simply free space.
 * Refcounts and COPIED flags do not exist before builder_finish() counts every reference.
 */
struct builder {
	struct builder_options options;
	struct qc_geometry geometry;
	struct qc_header header;
	uint8_t *bytes;
	uint64_t clusters;  /* in use at bytes */
	uint64_t room;	    /* clusters that bytes has room for */
	uint64_t packed_at; /* where the next compressed cluster may go; 0: nowhere */
	bool *l2_shared;    /* for each L1 entry: a snapshot has the same table */
	struct qc_snapshots snapshots;
	struct qc_bitmaps bitmaps;
	uint64_t bitmap_directory;
	struct builder_bytes *extensions;
	size_t extension_count;
	bool finished;
};

void builder_must(bool condition, const char *what);
void *builder_grow(void *list, size_t count, size_t item_bytes);
uint64_t builder_allocate(struct builder *b, uint64_t clusters); /* zeroed; returns the offset */
