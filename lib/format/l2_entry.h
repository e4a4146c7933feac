// SPDX-License-Identifier: MIT
/*
 * An entry of an L2 table: what one guest cluster is. Specification, "L2 table entry" and "Extended
 * L2 Entries".
 *
 * Decoded, an entry says where its host cluster is and, for each of its subclusters, whether that
 * part is stored there, reads as zeroes, or shows the backing file. A standard entry is the case of
 * one subcluster, so the code that reads and writes clusters has one path for both.
 *
 *	standard entry		allocated  zero   host
 *	unallocated		0	   0	  none
 *	zero, plain		0	   1	  none
 *	zero, preallocated	0	   1	  set	(the cluster is referenced, its bytes are not read)
 *	normal			1	   0	  set
 *	compressed		0	   0	  byte offset of the data
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "format/geometry.h"

#define QC_L2_OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define QC_L2_COPIED (UINT64_C(1) << 63)
#define QC_L2_COMPRESSED (UINT64_C(1) << 62)
#define QC_L2_ZERO (UINT64_C(1) << 0) /* version 3, standard entries only */
#define QC_L2_RESERVED UINT64_C(0x3f000000000001fe)

/* The words of an entry as they are on disk, in host byte order. bitmap is 0 in standard tables. */
struct qc_l2_words {
	uint64_t entry;
	uint64_t bitmap; /* bits 0..31 allocated, 32..63 zero */
};

struct qc_l2_entry {
	bool compressed;
	bool copied;		   /* the COPIED flag, as stored */
	struct qc_host host;	   /* of the cluster, or of the compressed bytes */
	uint64_t compressed_bytes; /* compressed only: at most, counted from host */
	uint32_t allocated;	   /* a bit for each subcluster that is stored at host */
	uint32_t zero;		   /* a bit for each that reads as zeroes */
};

/* What is wrong with the words of an entry; none means that they decode without loss. */
enum qc_l2_fault {
	QC_L2_FAULT_NONE,
	QC_L2_FAULT_RESERVED,		 /* reserved bits are set */
	QC_L2_FAULT_UNALIGNED,		 /* the host offset is not a multiple of the cluster size */
	QC_L2_FAULT_ZERO_IN_V2,		 /* the zero flag where it does not exist */
	QC_L2_FAULT_COPIED_COMPRESSED,	 /* COPIED on a compressed cluster */
	QC_L2_FAULT_COMPRESSED_EXTERNAL, /* compressed, in an image with a data file */
	QC_L2_FAULT_COMPRESSED_BITMAP,	 /* compressed, with subcluster bits */
	QC_L2_FAULT_COMPRESSED_OFFSET,	 /* offset bits above 55 */
	QC_L2_FAULT_BITMAP_BOTH,	 /* a subcluster both allocated and zero */
	QC_L2_FAULT_BITMAP_NO_HOST,	 /* allocated subclusters, but no host cluster */
};

/* Reads entry number index of a table of g->cluster_bytes bytes; index is below g->l2_entries. */
struct qc_l2_words qc_l2_load(const struct qc_geometry *g, const uint8_t *table, uint64_t index);
void qc_l2_store(const struct qc_geometry *g, uint8_t *table, uint64_t index,
		 struct qc_l2_words words);

/* Decodes as far as the words make sense, and says what does not. */
enum qc_l2_fault qc_l2_decode(const struct qc_geometry *g, struct qc_l2_words words,
			      struct qc_l2_entry *ret);

/* The words of an entry that decodes without fault. */
struct qc_l2_words qc_l2_encode(const struct qc_geometry *g, const struct qc_l2_entry *entry);

/*
 * Whether there is a host cluster behind the entry. Offset 0 says that there is none, except in a data
 * file, where the guest's first cluster lies there, and COPIED, which is always set in such images,
 * tells the two apart.
 */
bool qc_l2_has_host(const struct qc_geometry *g, const struct qc_l2_entry *entry);

/* A few words for people: "reserved bits are set". */
const char *qc_l2_fault_text(enum qc_l2_fault fault);

/* All subclusters of a cluster: 1, or 0xffffffff. */
static inline uint32_t qc_all_subclusters(const struct qc_geometry *g)
{
	return g->subclusters == 32 ? UINT32_MAX : 1;
}
