// SPDX-License-Identifier: MIT
/*
 * Images that are wrong in one named way, and what every part of the program must answer. Each case
 * is a base image, edits at named places, and four expectations:
 *
 *	open	words of the error with which a strict open refuses it; NULL: it opens
 *	found	ids of all findings of a check, in the order of format/finding.h; "" for none,
 *		"!" in front if the check cannot be finished
 *	read	words of the error that mapping and reading everything ends with; NULL: all is read
 *	write	words of the error with which a transaction is refused; NULL: it is committed
 *
 * Whatever is expected, nothing may crash, a refused transaction leaves every byte as it was, and a
 * committed one leaves an image that is no worse (support/soundness.h).
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "check/check.h"
#include "format/bitmap_directory.h"
#include "format/header_extensions.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "format/limits.h"
#include "image/chain_map.h"
#include "image/read.h"
#include "io/file_mem.h"
#include "support/found.h"
#include "support/image_builder.h"
#include "support/soundness.h"
#include "support/under_guard.h"
#include "txn/recover.h"
#include "txn/txn.h"

/* What the base image has besides what every one has. */
#define WITH_V2 (1u << 0)
#define WITH_EXTENDED (1u << 1)
#define WITH_SNAPSHOT (1u << 2)
#define WITH_BITMAP (1u << 3) /* not enabled, or nothing could be written */
#define WITH_BACKING (1u << 4)
#define WITH_ZSTD (1u << 5)
#define WITH_REFCOUNT_1 (1u << 6) /* refcounts of 1 bit */
#define WITH_REFCOUNT_64 (1u << 7)
#define WITH_DATA_FILE (1u << 8)
#define WITH_NAMES (1u << 9) /* a feature name table */

enum place {
	PLACE_NONE, /* ends a list of edits */
	PLACE_HEADER,
	PLACE_L1,	      /* entry number index */
	PLACE_L2,	      /* of guest cluster index */
	PLACE_REFCOUNT_TABLE, /* entry number index */
	PLACE_REFCOUNT_BLOCK, /* the one of host cluster index */
	PLACE_REFCOUNT,	      /* the count of the cluster that guest cluster index is in */
	PLACE_SNAPSHOT,	      /* entry number index */
	PLACE_SNAPSHOT_L1,    /* of snapshot 0 */
	PLACE_SNAPSHOT_L2,    /* likewise, of guest cluster index */
	PLACE_EXTENSION,      /* of type index */
	PLACE_BITMAP,	      /* the first directory entry */
	PLACE_BITMAP_TABLE,   /* of the first bitmap */
	PLACE_COMPRESSED,     /* the data of guest cluster index */
};

enum change {
	CHANGE_SET,
	CHANGE_OR,
	CHANGE_CLEAR,
	CHANGE_ADD,
};

/* Places that an edit's value can name; its number is added. */
enum anchor {
	ANCHOR_NONE,
	ANCHOR_GUEST, /* where guest cluster 1 is */
	ANCHOR_L1,
	ANCHOR_L2,
	ANCHOR_REFCOUNT_TABLE,
	ANCHOR_REFCOUNT_BLOCK,
	ANCHOR_SNAPSHOTS,
	ANCHOR_BITMAPS, /* the directory */
	ANCHOR_END,	/* of the file */
};

struct edit {
	enum place place;
	uint32_t index;
	uint32_t at; /* bytes from there */
	uint32_t bits;
	enum change change;
	uint64_t value;
	enum anchor anchor;
};

#define EDITS_MAX 4

struct hostile {
	const char *name;
	unsigned int with;
	struct edit edits[EDITS_MAX];
	const char *open, *found, *read, *write;
};

#define BITS_OF(field) (8 * (uint32_t)sizeof(((struct qc_disk_header *)0)->field))
#define HEADER(field, value)                                                                       \
	{                                                                                          \
		PLACE_HEADER, 0, offsetof(struct qc_disk_header, field), BITS_OF(field),           \
			CHANGE_SET, value, ANCHOR_NONE                                             \
	}
#define HEADER_OR(field, value)                                                                    \
	{                                                                                          \
		PLACE_HEADER, 0, offsetof(struct qc_disk_header, field), BITS_OF(field),           \
			CHANGE_OR, value, ANCHOR_NONE                                              \
	}
#define HEADER_TO(field, anchor, value)                                                            \
	{                                                                                          \
		PLACE_HEADER, 0, offsetof(struct qc_disk_header, field), BITS_OF(field),           \
			CHANGE_SET, value, anchor                                                  \
	}
#define SET(place, index, at, bits, value)                                                         \
	{                                                                                          \
		place, index, at, bits, CHANGE_SET, value, ANCHOR_NONE                             \
	}
#define OR(place, index, at, bits, value)                                                          \
	{                                                                                          \
		place, index, at, bits, CHANGE_OR, value, ANCHOR_NONE                              \
	}
#define CLEAR(place, index, at, bits, value)                                                       \
	{                                                                                          \
		place, index, at, bits, CHANGE_CLEAR, value, ANCHOR_NONE                           \
	}
#define ADD(place, index, at, bits, value)                                                         \
	{                                                                                          \
		place, index, at, bits, CHANGE_ADD, value, ANCHOR_NONE                             \
	}
#define SET_TO(place, index, at, bits, anchor, value)                                              \
	{                                                                                          \
		place, index, at, bits, CHANGE_SET, value, anchor                                  \
	}

#define DISK_BYTES (3u << 20)
#define MAP_MAX 4096

/* The base image: guest clusters 0..2 data, 3 zero with a cluster, 4 zero, 5 and 6 compressed. */
static inline struct builder *hostile_base(unsigned int with)
{
	static const uint8_t data_file_name[] = "data.raw";
	struct qc_disk_feature_name name = {0, 41, "flux capacitor"};
	struct builder_options o = builder_defaults();
	static uint8_t bytes[1 << 14];
	struct builder *b;

	o.version = with & WITH_V2 ? 2 : 3;
	o.cluster_bits = with & WITH_EXTENDED ? 14 : 12;
	o.extended_l2 = (with & WITH_EXTENDED) != 0;
	o.disk_bytes = DISK_BYTES;
	o.l1_slack = 1;
	o.compression = with & WITH_ZSTD ? QC_COMPRESSION_ZSTD : QC_COMPRESSION_ZLIB;
	o.refcount_order = with & WITH_REFCOUNT_64 ? 6 : with & WITH_REFCOUNT_1 ? 0 : 4;
	o.backing_name = with & WITH_BACKING ? "base.img" : NULL;
	o.backing_format = with & WITH_BACKING ? "raw" : NULL;
	o.incompatible = with & WITH_DATA_FILE ? QC_INCOMPAT_DATA_FILE : 0;
	b = builder_new(&o);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i / 64);
	for (uint64_t i = 0; i < 3; i++)
		builder_data(b, i, bytes);
	if (!(with & (WITH_V2 | WITH_EXTENDED)))
		builder_zero_alloc(b, 3);
	if (!(with & WITH_V2))
		builder_zero(b, 4);
	if (!(with & (WITH_DATA_FILE | WITH_REFCOUNT_1))) {
		builder_compressed(b, 5, bytes);
		builder_compressed(b, 6, bytes);
	}
	if (with & WITH_SNAPSHOT) {
		builder_snapshot(b, "1", "first");
		builder_data(b, 2, bytes);
	}
	if (with & WITH_BITMAP)
		builder_bitmap(b, "bits", 16, 0);
	if (with & WITH_DATA_FILE)
		builder_extension(b, QC_EXTENSION_DATA_FILE, data_file_name, 8);
	if (with & WITH_NAMES)
		builder_extension(b, QC_EXTENSION_FEATURE_NAMES, &name, sizeof(name));
	return b;
}

static inline uint64_t hostile_place(const struct builder *b, const struct edit *edit)
{
	switch (edit->place) {
	case PLACE_L1:
		return builder_l1_entry_at(b, edit->index);
	case PLACE_L2:
		return builder_l2_entry_at(b, edit->index);
	case PLACE_REFCOUNT_TABLE:
		return builder_refcount_table_entry_at(b, edit->index);
	case PLACE_REFCOUNT_BLOCK:
		return builder_refcount_block_at(b, edit->index);
	case PLACE_SNAPSHOT:
		return builder_snapshot_entry_at(b, edit->index);
	case PLACE_SNAPSHOT_L1:
		return builder_snapshot_l1_entry_at(b, 0, edit->index);
	case PLACE_SNAPSHOT_L2:
		return builder_snapshot_l2_entry_at(b, 0, edit->index);
	case PLACE_EXTENSION:
		return builder_extension_at(b, edit->index);
	case PLACE_BITMAP:
		return builder_bitmap_at(b);
	case PLACE_BITMAP_TABLE:
		return builder_bitmap_entry_at(b);
	case PLACE_COMPRESSED:
		return builder_peek64(b, builder_l2_entry_at(b, edit->index)) & 0x3ffffffffffffff;
	default:
		return 0;
	}
}

static inline uint64_t hostile_anchor(const struct builder *b, enum anchor anchor, size_t length)
{
	switch (anchor) {
	case ANCHOR_GUEST:
		return builder_host_of(b, 1);
	case ANCHOR_L1:
		return builder_header(b)->l1.byte;
	case ANCHOR_L2:
		return builder_peek64(b, builder_l1_entry_at(b, 0)) & QC_L1_OFFSET_MASK;
	case ANCHOR_REFCOUNT_TABLE:
		return builder_header(b)->refcount_table.byte;
	case ANCHOR_REFCOUNT_BLOCK:
		return builder_refcount_block_at(b, 0);
	case ANCHOR_SNAPSHOTS:
		return builder_header(b)->snapshot_table.byte;
	case ANCHOR_BITMAPS:
		return builder_bitmap_at(b);
	case ANCHOR_END:
		return length;
	case ANCHOR_NONE:
		break;
	}
	return 0;
}

static inline uint64_t hostile_changed(uint64_t old, enum change change, uint64_t value)
{
	switch (change) {
	case CHANGE_OR:
		return old | value;
	case CHANGE_CLEAR:
		return old & ~value;
	case CHANGE_ADD:
		return old + value;
	case CHANGE_SET:
		break;
	}
	return value;
}

static inline void hostile_edit(struct builder *b, const struct edit *edit, uint8_t *bytes,
				size_t length)
{
	uint64_t value = edit->value + hostile_anchor(b, edit->anchor, length);
	uint64_t at = hostile_place(b, edit) + edit->at;

	if (edit->place == PLACE_REFCOUNT) {
		at = builder_host_of(b, edit->index) / builder_geometry(b)->cluster_bytes;
		builder_poke_refcount(b, at, value);
	} else if (edit->bits == 8) {
		builder_poke8(b, at, (uint8_t)hostile_changed(bytes[at], edit->change, value));
	} else if (edit->bits == 16) {
		builder_poke16(b, at,
			       (uint16_t)hostile_changed(qc_load_be16(bytes + at), edit->change,
							 value));
	} else if (edit->bits == 32) {
		builder_poke32(b, at,
			       (uint32_t)hostile_changed(qc_load_be32(bytes + at), edit->change,
							 value));
	} else {
		builder_poke64(b, at, hostile_changed(builder_peek64(b, at), edit->change, value));
	}
}
