// SPDX-License-Identifier: MIT
/*
 * The structures of a qcow2 file, byte for byte. Field comments give the offset inside the
 * structure. All integers are big-endian. Only the decoders and encoders of this layer look inside.
 *
 * Source: QEMU's docs/interop/qcow2.rst ("the specification" everywhere in this project).
 */
#pragma once

#include <assert.h>
#include <stddef.h>

#include "base/byte_order.h"

#define QC_MAGIC 0x514649fbu /* "QFI\xfb" */
#define QC_HEADER_BYTES_V2 72u
#define QC_HEADER_BYTES_V3_MIN 104u
#define QC_HEADER_BYTES_V3 112u /* with compression_type and its padding */

struct qc_disk_header {
	qc_be32 magic;			 /* +0x00 */
	qc_be32 version;		 /* +0x04 */
	qc_be64 backing_file_offset;	 /* +0x08 */
	qc_be32 backing_file_size;	 /* +0x10 */
	qc_be32 cluster_bits;		 /* +0x14 */
	qc_be64 size;			 /* +0x18 */
	qc_be32 crypt_method;		 /* +0x20 */
	qc_be32 l1_size;		 /* +0x24 entries */
	qc_be64 l1_table_offset;	 /* +0x28 */
	qc_be64 refcount_table_offset;	 /* +0x30 */
	qc_be32 refcount_table_clusters; /* +0x38 */
	qc_be32 nb_snapshots;		 /* +0x3c */
	qc_be64 snapshots_offset;	 /* +0x40 */
	/* Version 3 only; version 2 ends here and its extensions begin. */
	qc_be64 incompatible_features; /* +0x48 */
	qc_be64 compatible_features;   /* +0x50 */
	qc_be64 autoclear_features;    /* +0x58 */
	qc_be32 refcount_order;	       /* +0x60 */
	qc_be32 header_length;	       /* +0x64 */
	/* Present if header_length says so. */
	uint8_t compression_type; /* +0x68 */
	uint8_t padding[7];	  /* +0x69 */
};
static_assert(sizeof(struct qc_disk_header) == QC_HEADER_BYTES_V3, "the header of version 3");
static_assert(offsetof(struct qc_disk_header, snapshots_offset) == 0x40, "the last field of v2");
static_assert(offsetof(struct qc_disk_header, incompatible_features) == QC_HEADER_BYTES_V2, "v2");
static_assert(offsetof(struct qc_disk_header, compression_type) == QC_HEADER_BYTES_V3_MIN, "v3");

/* A header extension: this, then `length` bytes, padded to a multiple of 8. */
struct qc_disk_extension {
	qc_be32 type;	/* +0x00 */
	qc_be32 length; /* +0x04 without padding */
};
static_assert(sizeof(struct qc_disk_extension) == 8, "an extension's head");

#define QC_EXTENSION_END 0x00000000u
#define QC_EXTENSION_BACKING_FORMAT 0xe2792acau
#define QC_EXTENSION_FEATURE_NAMES 0x6803f857u
#define QC_EXTENSION_BITMAPS 0x23852875u
#define QC_EXTENSION_CRYPTO 0x0537be77u
#define QC_EXTENSION_DATA_FILE 0x44415441u

/* One entry of the feature name table. */
struct qc_disk_feature_name {
	uint8_t type;	  /* +0x00 0 incompatible, 1 compatible, 2 autoclear */
	uint8_t bit;	  /* +0x01 */
	uint8_t name[46]; /* +0x02 padded with zeroes, not necessarily ended by one */
};
static_assert(sizeof(struct qc_disk_feature_name) == 48, "a feature name");

/* The payload of the bitmaps extension. */
struct qc_disk_bitmaps_extension {
	qc_be32 nb_bitmaps;		 /* +0x00 */
	qc_be32 reserved;		 /* +0x04 must be zero */
	qc_be64 bitmap_directory_size;	 /* +0x08 bytes */
	qc_be64 bitmap_directory_offset; /* +0x10 */
};
static_assert(sizeof(struct qc_disk_bitmaps_extension) == 24, "the bitmaps extension");

/* The payload of the full disk encryption extension. */
struct qc_disk_crypto_extension {
	qc_be64 offset; /* +0x00 of the LUKS header in the file */
	qc_be64 length; /* +0x08 bytes */
};
static_assert(sizeof(struct qc_disk_crypto_extension) == 16, "the crypto extension");

/* An entry of the bitmap directory; extra data and the name follow, padded to a multiple of 8. */
struct qc_disk_bitmap {
	qc_be64 bitmap_table_offset; /* +0x00 */
	qc_be32 bitmap_table_size;   /* +0x08 entries */
	qc_be32 flags;		     /* +0x0c */
	uint8_t type;		     /* +0x10 1: dirty tracking bitmap */
	uint8_t granularity_bits;    /* +0x11 */
	qc_be16 name_size;	     /* +0x12 */
	qc_be32 extra_data_size;     /* +0x14 */
};
static_assert(sizeof(struct qc_disk_bitmap) == 24, "a bitmap directory entry");

/* An entry of the snapshot table; extra data, the id and the name follow, padded to a multiple of 8. */
struct qc_disk_snapshot {
	qc_be64 l1_table_offset; /* +0x00 */
	qc_be32 l1_size;	 /* +0x08 entries */
	qc_be16 id_size;	 /* +0x0c */
	qc_be16 name_size;	 /* +0x0e */
	qc_be32 date_sec;	 /* +0x10 since the epoch */
	qc_be32 date_nsec;	 /* +0x14 */
	qc_be64 vm_clock_nsec;	 /* +0x18 */
	qc_be32 vm_state_size;	 /* +0x20 the low 32 bits; superseded by the extra data */
	qc_be32 extra_data_size; /* +0x24 */
};
static_assert(sizeof(struct qc_disk_snapshot) == 40, "a snapshot table entry");

/* What QEMU knows of a snapshot's extra data; version 3 has at least the first two fields. */
struct qc_disk_snapshot_extra {
	qc_be64 vm_state_size; /* +0x00 */
	qc_be64 disk_size;     /* +0x08 */
	qc_be64 icount;	       /* +0x10 */
};
static_assert(sizeof(struct qc_disk_snapshot_extra) == 24, "a snapshot's extra data");

/*
 * The journal of a transaction (this project's own; free space to every other program). A segment
 * is a head, the sector 0 before and after, `records` records, and zeroes up to the trailer, which
 * is the last sector of the file. See docs/TRANSACTIONS.md.
 */
struct qc_disk_journal_head {
	uint8_t magic[8];	   /* +0x00 QC_JOURNAL_HEAD_MAGIC */
	qc_be32 version;	   /* +0x08 QC_JOURNAL_VERSION */
	qc_be32 cluster_bits;	   /* +0x0c */
	qc_be64 records;	   /* +0x10 */
	qc_be64 file_bytes_before; /* +0x18 the file's length before the transaction */
	qc_be64 file_bytes_after;  /* +0x20 its length once the commit is complete */
	uint8_t reserved[24];	   /* +0x28 zero */
	uint8_t before[512];	   /* +0x40 sector 0 as it was loaded */
	uint8_t after[512];	   /* +0x240 sector 0 as the commit writes it */
};
static_assert(sizeof(struct qc_disk_journal_head) == 0x440, "the head of a journal segment");

struct qc_disk_journal_record {
	qc_be32 kind;	  /* +0x00 enum qc_journal_kind */
	qc_be32 reserved; /* +0x04 zero */
	qc_be64 index;	  /* +0x08 which table of its kind */
	qc_be64 old_host; /* +0x10 0: there was none */
	qc_be64 new_host; /* +0x18 0: there is none any more */
	qc_be64 length;	  /* +0x20 bytes */
	qc_be64 digest;	  /* +0x28 XXH64, seed 0, of the new content */
};
static_assert(sizeof(struct qc_disk_journal_record) == 48, "a journal record");

struct qc_disk_journal_trailer {
	uint8_t magic[8];	/* +0x00 QC_JOURNAL_TRAILER_MAGIC */
	qc_be32 version;	/* +0x08 */
	qc_be32 reserved;	/* +0x0c zero */
	qc_be64 segment_offset; /* +0x10 in the file */
	qc_be64 segment_bytes;	/* +0x18 head and records, without padding and trailer */
	qc_be64 segment_digest; /* +0x20 XXH64, seed 0, of those bytes */
	uint8_t padding[464];	/* +0x28 zero */
	qc_be64 digest;		/* +0x1f8 XXH64, seed 0, of the 504 bytes above */
};
static_assert(sizeof(struct qc_disk_journal_trailer) == 512, "the trailer is one sector");

#define QC_JOURNAL_HEAD_MAGIC "QCTXHEAD"
#define QC_JOURNAL_TRAILER_MAGIC "QCTXTAIL"
#define QC_JOURNAL_VERSION 1u
