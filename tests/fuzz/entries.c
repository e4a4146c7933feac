// SPDX-License-Identifier: MIT
/*
 * L2 entries, compressed descriptors and refcounts. Two bytes say how the image is made, then come
 * entries of 16 bytes; all together also serve as a refcount block.
 */
#include "base/byte_order.h"
#include "base/checked.h"
#include "format/compressed_desc.h"
#include "format/l2_entry.h"
#include "format/limits.h"
#include "format/refcount_entry.h"
#include "fuzz/fuzz.h"

static void check_compressed(const struct qc_geometry *g, const struct qc_l2_entry *entry)
{
	uint64_t first, count;

	FUZZ_MUST(entry->compressed_bytes >= 1);
	FUZZ_MUST(entry->compressed_bytes <= 2 * g->cluster_bytes);
	qc_compressed_clusters(g, entry->host, entry->compressed_bytes, &first, &count);
	FUZZ_MUST(count >= 1 && count <= 3);
	FUZZ_MUST(first == entry->host.byte >> g->cluster_bits);
}

static void check_entry(const struct qc_geometry *g, struct qc_l2_words words)
{
	struct qc_l2_entry entry;
	struct qc_l2_words again;
	enum qc_l2_fault fault = qc_l2_decode(g, words, &entry);

	FUZZ_MUST(qc_l2_fault_text(fault) != NULL);
	FUZZ_MUST((entry.allocated & ~qc_all_subclusters(g)) == 0);
	FUZZ_MUST((entry.zero & ~qc_all_subclusters(g)) == 0);
	if (entry.compressed)
		check_compressed(g, &entry);
	if (fault != QC_L2_FAULT_NONE)
		return;
	FUZZ_MUST((entry.allocated & entry.zero) == 0);
	FUZZ_MUST(!entry.compressed || entry.host.byte < qc_compressed_offset_end(g));
	again = qc_l2_encode(g, &entry);
	FUZZ_MUST(again.entry == words.entry && again.bitmap == words.bitmap);
}

/* The block is a copy, so that every count can be set. */
static void check_refcounts(const struct qc_geometry *g, const uint8_t *bytes, size_t length)
{
	uint8_t block[1 << QC_CLUSTER_BITS_MIN] = {0};
	uint64_t counts, used, value;

	length = (size_t)qc_min(length, sizeof(block));
	counts = ((uint64_t)length * 8) >> g->refcount_order;
	memcpy(block, bytes, length);
	used = qc_refcount_next_used(g, block, 0);
	FUZZ_MUST(used <= g->refcounts_per_block);
	for (uint64_t i = 0; i < counts; i++) {
		value = qc_refcount_get(g, block, i);
		FUZZ_MUST(value <= g->refcount_max);
		FUZZ_MUST(i < used ? value == 0 : i > used || value != 0);
		qc_refcount_set(g, block, i, value);
		FUZZ_MUST(qc_refcount_get(g, block, i) == value);
	}
	FUZZ_MUST(memcmp(block, bytes, length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct qc_l2_words words;
	struct qc_geometry g;
	uint32_t bits, order;

	if (length < 2)
		return 0;
	bits = QC_CLUSTER_BITS_MIN + bytes[0] % (QC_CLUSTER_BITS_MAX - QC_CLUSTER_BITS_MIN + 1);
	qc_geometry_init(&g, bytes[1] & 1 ? 2 : 3, bits, QC_REFCOUNT_ORDER_V2,
			 bits >= QC_CLUSTER_BITS_MIN_EXTENDED_L2 && (bytes[1] & 2),
			 (bytes[1] & 4) != 0);
	order = (bytes[1] >> 3) % (QC_REFCOUNT_ORDER_MAX + 1);
	bytes += 2;
	length -= 2;
	for (size_t at = 0; at + 16 <= length; at += 16) {
		words.entry = qc_load_be64(bytes + at);
		words.bitmap = g.extended_l2 ? qc_load_be64(bytes + at + 8) : 0;
		check_entry(&g, words);
	}
	qc_geometry_init(&g, 3, QC_CLUSTER_BITS_MIN, order, false, false);
	check_refcounts(&g, bytes, length);
	return 0;
}
