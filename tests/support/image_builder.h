// SPDX-License-Identifier: MIT
/*
 * Builds whole qcow2 images in memory, out of statements such as "guest cluster 3 is compressed".
 * What comes out of builder_finish() is consistent: every refcount and COPIED flag is right, and
 * `qemu-img check` has nothing to say. Hostile images are made from it by edits at named places:
 *
 *	struct builder *b = builder_new(NULL);
 *	builder_data(b, 3, bytes);
 *	builder_finish(b, &image, &length);
 *	builder_poke64(b, builder_l2_entry_at(b, 3), QC_L2_COMPRESSED | 7);
 *
 * Every call aborts the test if it is asked for something impossible. Offsets in the image are
 * plain numbers here: the places that hold them are fields of many kinds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/disk_layout.h"
#include "format/geometry.h"
#include "format/header.h"

struct builder_options {
	uint32_t version;
	uint32_t cluster_bits;
	uint32_t refcount_order;
	bool extended_l2;
	uint64_t disk_bytes;
	uint32_t l1_slack;     /* L1 entries more than the disk needs */
	uint32_t header_bytes; /* 0: the usual length for the version */
	enum qc_compression compression;
	uint64_t incompatible; /* in addition to what the other options imply */
	uint64_t compatible;
	uint64_t autoclear;
	const char *backing_name;   /* NULL: no backing file */
	const char *backing_format; /* NULL: not recorded */
};

struct builder;

struct builder_options builder_defaults(void); /* version 3, 64 KiB clusters, a disk of 1 MiB */

/* options NULL: the defaults. */
struct builder *builder_new(const struct builder_options *options);
void builder_free(struct builder *b);

/* What a guest cluster is from now on. bytes are one whole cluster and are copied. */
/* With a data file, its bytes there are the caller's business, and `bytes` is not looked at. */
void builder_data(struct builder *b, uint64_t guest_cluster, const void *bytes);
void builder_unallocated(struct builder *b, uint64_t guest_cluster);
void builder_zero(struct builder *b, uint64_t guest_cluster); /* version 3 */
/* Zero, with a host cluster (filled with bytes that must not be seen). */
void builder_zero_alloc(struct builder *b, uint64_t guest_cluster);
/* Packed behind the last compressed cluster if there is room. */
void builder_compressed(struct builder *b, uint64_t guest_cluster, const void *bytes);
/* Compressed, starting at that byte of a fresh host cluster and crossing into the next ones. */
void builder_compressed_at(struct builder *b, uint64_t guest_cluster, const void *bytes,
			   uint64_t in_cluster);
/* Extended L2 only: a host cluster with `bytes` and any two disjoint masks. */
void builder_subclusters(struct builder *b, uint64_t guest_cluster, const void *bytes,
			 uint32_t allocated, uint32_t zero);

/* A snapshot of what the disk is now; later changes copy the L2 tables that it shares. */
void builder_snapshot(struct builder *b, const char *id, const char *name);

/* A dirty bitmap with its first bit set. */
void builder_bitmap(struct builder *b, const char *name, uint8_t granularity_bits, uint32_t flags);

/* A header extension, put behind those that the builder itself writes. */
void builder_extension(struct builder *b, uint32_t type, const void *payload, uint32_t bytes);

/* Free clusters in the middle of the file, so that the next one lands further on. */
void builder_skip_clusters(struct builder *b, uint64_t count);

/* The finished image; the bytes belong to the builder and may be edited. Once only. */
void builder_finish(struct builder *b, uint8_t **ret_bytes, size_t *ret_length);

/* Writes the image to a file; for referees that are programs. */
void builder_write_file(const struct builder *b, const char *path);

/* Where things are. The two at the top are right at any time, the rest after builder_finish(). */
const struct qc_geometry *builder_geometry(const struct builder *b);
const struct qc_header *builder_header(const struct builder *b);
uint64_t builder_l1_entry_at(const struct builder *b, uint64_t index);
uint64_t builder_l2_entry_at(const struct builder *b, uint64_t guest_cluster);
uint64_t builder_host_of(const struct builder *b, uint64_t guest_cluster); /* of normal, zero */
uint64_t builder_refcount_table_entry_at(const struct builder *b, uint64_t index);
uint64_t builder_refcount_block_at(const struct builder *b, uint64_t host_cluster);
uint64_t builder_snapshot_entry_at(const struct builder *b, uint32_t snapshot);
uint64_t builder_snapshot_l1_entry_at(const struct builder *b, uint32_t snapshot, uint64_t index);
uint64_t builder_snapshot_l2_entry_at(const struct builder *b, uint32_t snapshot,
				      uint64_t guest_cluster);
uint64_t builder_extension_at(const struct builder *b, uint32_t type); /* of its head */
uint64_t builder_bitmap_at(const struct builder *b);	   /* the first in the directory */
uint64_t builder_bitmap_entry_at(const struct builder *b); /* the first of its table */
#define builder_header_field(field) ((uint64_t)offsetof(struct qc_disk_header, field))

/* Edits of the finished image. */
uint64_t builder_peek64(const struct builder *b, uint64_t at);
void builder_poke8(struct builder *b, uint64_t at, uint8_t value);
void builder_poke16(struct builder *b, uint64_t at, uint16_t value);
void builder_poke32(struct builder *b, uint64_t at, uint32_t value);
void builder_poke64(struct builder *b, uint64_t at, uint64_t value);
uint64_t builder_refcount(const struct builder *b, uint64_t host_cluster);
void builder_poke_refcount(struct builder *b, uint64_t host_cluster, uint64_t value);
