// SPDX-License-Identifier: MIT
#include "format/l2_entry.h"

#include <assert.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "format/compressed_desc.h"
#include "format/limits.h"

struct qc_l2_words qc_l2_load(const struct qc_geometry *g, const uint8_t *table, uint64_t index)
{
	const uint8_t *at = table + index * g->l2_entry_bytes;
	struct qc_l2_words words = {.entry = qc_load_be64(at)};

	assert(index < g->l2_entries);
	if (g->extended_l2)
		words.bitmap = qc_load_be64(at + 8);
	return words;
}

void qc_l2_store(const struct qc_geometry *g, uint8_t *table, uint64_t index,
		 struct qc_l2_words words)
{
	uint8_t *at = table + index * g->l2_entry_bytes;

	assert(index < g->l2_entries);
	qc_store_be64(at, words.entry);
	if (g->extended_l2)
		qc_store_be64(at + 8, words.bitmap);
}

static enum qc_l2_fault decode_compressed(const struct qc_geometry *g, struct qc_l2_words words,
					  struct qc_l2_entry *entry)
{
	entry->compressed = true;
	qc_compressed_decode(g, words.entry, &entry->host, &entry->compressed_bytes);
	if (g->external_data)
		return QC_L2_FAULT_COMPRESSED_EXTERNAL;
	if (entry->copied)
		return QC_L2_FAULT_COPIED_COMPRESSED;
	if (g->extended_l2 && words.bitmap != 0)
		return QC_L2_FAULT_COMPRESSED_BITMAP;
	if (entry->host.byte >= qc_compressed_offset_end(g))
		return QC_L2_FAULT_COMPRESSED_OFFSET;
	return QC_L2_FAULT_NONE;
}

bool qc_l2_has_host(const struct qc_geometry *g, const struct qc_l2_entry *entry)
{
	if (!qc_host_is_none(entry->host))
		return true;
	return g->external_data && entry->copied && (g->extended_l2 || entry->zero == 0);
}

static enum qc_l2_fault decode_standard(const struct qc_geometry *g, struct qc_l2_words words,
					struct qc_l2_entry *entry)
{
	entry->zero = (words.entry & QC_L2_ZERO) != 0;
	entry->allocated = !entry->zero && qc_l2_has_host(g, entry);
	if (words.entry & QC_L2_RESERVED)
		return QC_L2_FAULT_RESERVED;
	if (entry->zero && g->version < 3)
		return QC_L2_FAULT_ZERO_IN_V2;
	return QC_L2_FAULT_NONE;
}

static enum qc_l2_fault decode_extended(const struct qc_geometry *g, struct qc_l2_words words,
					struct qc_l2_entry *entry)
{
	entry->allocated = (uint32_t)words.bitmap;
	entry->zero = (uint32_t)(words.bitmap >> 32);
	if (words.entry & (QC_L2_RESERVED | QC_L2_ZERO))
		return QC_L2_FAULT_RESERVED;
	if (entry->allocated & entry->zero)
		return QC_L2_FAULT_BITMAP_BOTH;
	if (entry->allocated && !qc_l2_has_host(g, entry))
		return QC_L2_FAULT_BITMAP_NO_HOST;
	return QC_L2_FAULT_NONE;
}

enum qc_l2_fault qc_l2_decode(const struct qc_geometry *g, struct qc_l2_words words,
			      struct qc_l2_entry *ret)
{
	enum qc_l2_fault fault;

	*ret = (struct qc_l2_entry){.copied = (words.entry & QC_L2_COPIED) != 0};
	/* First of all: in a compressed entry every bit below is part of the descriptor. */
	if (words.entry & QC_L2_COMPRESSED)
		return decode_compressed(g, words, ret);
	ret->host = qc_host(words.entry & QC_L2_OFFSET_MASK);
	fault = g->extended_l2 ? decode_extended(g, words, ret) : decode_standard(g, words, ret);
	if (fault == QC_L2_FAULT_NONE && !qc_is_aligned(ret->host.byte, g->cluster_bytes))
		fault = QC_L2_FAULT_UNALIGNED;
	return fault;
}

struct qc_l2_words qc_l2_encode(const struct qc_geometry *g, const struct qc_l2_entry *entry)
{
	struct qc_l2_words words = {.entry = entry->copied ? QC_L2_COPIED : 0};

	if (entry->compressed) {
		assert(!entry->copied);
		words.entry = QC_L2_COMPRESSED
			      | qc_compressed_encode(g, entry->host, entry->compressed_bytes);
		return words;
	}
	assert((entry->host.byte & ~QC_L2_OFFSET_MASK) == 0);
	assert(!entry->allocated || qc_l2_has_host(g, entry));
	assert(((entry->allocated | entry->zero) & ~qc_all_subclusters(g)) == 0);
	words.entry |= entry->host.byte;
	if (g->extended_l2)
		words.bitmap = (uint64_t)entry->zero << 32 | entry->allocated;
	else if (entry->zero)
		words.entry |= QC_L2_ZERO;
	return words;
}

const char *qc_l2_fault_text(enum qc_l2_fault fault)
{
	switch (fault) {
	case QC_L2_FAULT_NONE:
		return "nothing is wrong";
	case QC_L2_FAULT_RESERVED:
		return "reserved bits are set";
	case QC_L2_FAULT_UNALIGNED:
		return "the host offset is not a multiple of the cluster size";
	case QC_L2_FAULT_ZERO_IN_V2:
		return "the zero flag is set in a version 2 image";
	case QC_L2_FAULT_COPIED_COMPRESSED:
		return "a compressed cluster is marked as copied";
	case QC_L2_FAULT_COMPRESSED_EXTERNAL:
		return "a compressed cluster in an image with a data file";
	case QC_L2_FAULT_COMPRESSED_BITMAP:
		return "a compressed cluster with subcluster bits";
	case QC_L2_FAULT_COMPRESSED_OFFSET:
		return "the offset of compressed data is out of range";
	case QC_L2_FAULT_BITMAP_BOTH:
		return "a subcluster is both allocated and zero";
	case QC_L2_FAULT_BITMAP_NO_HOST:
		return "subclusters are allocated without a host cluster";
	}
	return "unknown fault";
}
