// SPDX-License-Identifier: MIT
/*
 * Two halves. The first finds and judges the tables and the one entry that an offset belongs to.
 * The second lengthens the extent that this entry begins, over as many entries and tables as say
 * the same: it compares raw words with the word that the next cluster would have, so that a scan
 * over a large table costs little more than reading it.
 *
 * 1. Only the first half fails. Lengthening stops in front of whatever makes no sense, and the call
 *    that begins there reports it.
 */
#include "image/map.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "format/l1_entry.h"
#include "format/limits.h"
#include "image/table_cache.h"

void qc_view_active(const struct qc_layer *layer, struct qc_view *ret)
{
	*ret = (struct qc_view){
		.image = layer->image,
		.raw = !layer->image ? layer->file : NULL,
		.disk_bytes = layer->disk_bytes,
		.backing = layer->backing,
	};
	if (layer->image && layer->image->l1) {
		ret->l1 = layer->image->l1;
		ret->l1_entries = layer->image->header.l1_entries;
	}
}

int qc_view_snapshot(const struct qc_layer *layer, const struct qc_snapshot *snapshot,
		     struct qc_view *ret, struct qc_err *err)
{
	struct qc_view view = {.image = layer->image, .backing = layer->backing};
	int status;

	view.disk_bytes = snapshot->has_disk_bytes ? snapshot->disk_bytes : layer->disk_bytes;
	if (view.disk_bytes > QC_DISK_BYTES_MAX)
		return qc_fail(err, QC_E_FORMAT, "snapshot '%s' has an impossible disk size",
			       snapshot->name);
	status = qc_image_load_l1(layer->image, snapshot->l1, snapshot->l1_entries, &view.owned_l1,
				  err);
	if (status < 0)
		return qc_err_context(err, "snapshot '%s'", snapshot->name);
	view.l1 = view.owned_l1;
	view.l1_entries = snapshot->l1_entries;
	*ret = view;
	return 0;
}

void qc_view_clear(struct qc_view *view)
{
	free(view->owned_l1);
	*view = (struct qc_view){0};
}

/* The L1 word for an offset; tables shorter than the disk go on with zeroes. */
static uint64_t l1_word(const struct qc_view *view, struct qc_guest at)
{
	uint64_t index = qc_l1_index(&view->image->geometry, at);

	return index < view->l1_entries ? view->l1[index] : 0;
}

/* A table past the end of the file is all zeroes, which is what having none means. */
static bool has_table(const struct qc_view *view, uint64_t word)
{
	struct qc_host table = qc_l1_table_of(word);

	return !qc_host_is_none(table) && table.byte < view->image->file->bytes;
}

static bool l1_word_is_sound(const struct qc_geometry *g, uint64_t word)
{
	return (word & QC_L1_RESERVED) == 0
	       && qc_is_aligned(qc_l1_table_of(word).byte, g->cluster_bytes);
}

/* The L2 table for an offset, or NULL if there is none. */
static int get_table(const struct qc_view *view, struct qc_guest at, const uint8_t **ret,
		     struct qc_err *err)
{
	uint64_t word = l1_word(view, at);
	struct qc_host table = qc_l1_table_of(word);
	int status;

	if (!l1_word_is_sound(&view->image->geometry, word))
		return qc_fail(err, QC_E_FORMAT,
			       "L1 entry %#" PRIx64 " for guest offset %#" PRIx64
			       " makes no sense (L2 table at %#" PRIx64 ")",
			       word, at.byte, table.byte);
	if (!has_table(view, word)) {
		*ret = NULL;
		return 0;
	}
	status = qc_table_cache_get(view->image->tables, table, ret, err);
	if (status < 0)
		return qc_err_context(err, "L2 table at %#" PRIx64, table.byte);
	return 0;
}

/* COPIED on compressed clusters is against the rules, but what they hold is clear all the same. */
static bool fault_is_harmless(enum qc_l2_fault fault)
{
	return fault == QC_L2_FAULT_NONE || fault == QC_L2_FAULT_COPIED_COMPRESSED;
}

/* In a data file every cluster lies at its guest offset; whoever else says so is not believed. */
static int require_own_place(const struct qc_geometry *g, const struct qc_l2_entry *entry,
			     struct qc_guest at, struct qc_err *err)
{
	uint64_t expected = qc_align_down(at.byte, g->cluster_bytes);

	if (!g->external_data || !qc_l2_has_host(g, entry) || entry->host.byte == expected)
		return 0;
	return qc_fail(err, QC_E_FORMAT,
		       "L2 entry for guest offset %#" PRIx64
		       " leads to another offset of the data file, %#" PRIx64,
		       expected, entry->host.byte);
}

int qc_map_entry(const struct qc_view *view, struct qc_guest at, struct qc_l2_entry *ret,
		 struct qc_err *err)
{
	const struct qc_geometry *g = &view->image->geometry;
	struct qc_l2_entry entry = {0};
	struct qc_l2_words words;
	enum qc_l2_fault fault;
	const uint8_t *table;
	int status;

	status = get_table(view, at, &table, err);
	if (status < 0)
		return status;
	if (table) {
		words = qc_l2_load(g, table, qc_l2_index(g, at));
		fault = qc_l2_decode(g, words, &entry);
		if (!fault_is_harmless(fault))
			return qc_fail(err, QC_E_FORMAT,
				       "L2 entry for guest offset %#" PRIx64
				       " (host offset %#" PRIx64 "): %s",
				       at.byte, words.entry & QC_L2_OFFSET_MASK,
				       qc_l2_fault_text(fault));
	}
	*ret = entry;
	return require_own_place(g, &entry, at, err);
}

static enum qc_extent_kind subcluster_kind(const struct qc_l2_entry *entry, uint32_t index)
{
	if ((entry->zero >> index & 1) != 0)
		return QC_EXTENT_ZERO;
	if ((entry->allocated >> index & 1) != 0)
		return QC_EXTENT_DATA;
	return QC_EXTENT_UNALLOCATED;
}

void qc_map_cluster(const struct qc_geometry *g, const struct qc_l2_entry *entry,
		    uint64_t in_cluster, struct qc_extent *ret)
{
	uint32_t index = (uint32_t)(in_cluster / g->subcluster_bytes);
	struct qc_extent extent = {.kind = QC_EXTENT_COMPRESSED};
	uint32_t end = g->subclusters;

	if (!entry->compressed) {
		extent.kind = subcluster_kind(entry, index);
		for (end = index + 1; end < g->subclusters; end++)
			if (subcluster_kind(entry, end) != extent.kind)
				break;
		extent.has_host = qc_l2_has_host(g, entry);
		if (extent.has_host)
			extent.host = qc_host(entry->host.byte + in_cluster);
	}
	extent.bytes = end * g->subcluster_bytes - in_cluster;
	*ret = extent;
}

/* The words that a whole cluster has if it continues an extent, and what each next one adds. */
struct expected {
	struct qc_l2_words words;
	uint64_t step;
};

static bool expect(const struct qc_geometry *g, const struct qc_extent *extent,
		   struct expected *ret)
{
	struct qc_l2_entry entry = {0};

	if (extent->kind == QC_EXTENT_DATA)
		entry.allocated = qc_all_subclusters(g);
	else if (extent->kind == QC_EXTENT_ZERO)
		entry.zero = qc_all_subclusters(g);
	if (extent->has_host) {
		entry.host = qc_host(extent->host.byte + extent->bytes);
		if (entry.host.byte > QC_HOST_OFFSET_MAX)
			return false;
	}
	ret->words = qc_l2_encode(g, &entry);
	ret->step = extent->has_host ? g->cluster_bytes : 0;
	return true;
}

/* How many entries, from `index` and at most `count`, are as expected. */
static uint64_t count_matches(const struct qc_geometry *g, const uint8_t *table, uint64_t index,
			      uint64_t count, const struct expected *expected)
{
	const uint8_t *at = table + index * g->l2_entry_bytes;
	uint64_t word = expected->words.entry;
	uint64_t n;

	for (n = 0; n < count; n++, at += g->l2_entry_bytes, word += expected->step) {
		if ((qc_load_be64(at) & ~QC_L2_COPIED) != word)
			break;
		if (g->extended_l2 && qc_load_be64(at + 8) != expected->words.bitmap)
			break;
	}
	return n;
}

/* The part of the next cluster that continues the extent, where subclusters differ. */
static uint64_t continued_bytes(const struct qc_geometry *g, const uint8_t *table, uint64_t index,
				const struct qc_extent *extent)
{
	struct qc_l2_entry entry;
	struct qc_extent next;

	if (!fault_is_harmless(qc_l2_decode(g, qc_l2_load(g, table, index), &entry)))
		return 0;
	qc_map_cluster(g, &entry, 0, &next);
	if (next.kind != extent->kind || next.has_host != extent->has_host)
		return 0;
	if (extent->has_host && next.host.byte != extent->host.byte + extent->bytes)
		return 0;
	return next.bytes;
}

/* Lengthens within the table that maps `at`; false at the first cluster that differs. */
static bool lengthen_in_table(const struct qc_view *view, const uint8_t *table, struct qc_guest at,
			      uint64_t limit, struct qc_extent *extent)
{
	const struct qc_geometry *g = &view->image->geometry;
	uint64_t index = qc_l2_index(g, at);
	uint64_t count = qc_min(g->l2_entries - index, qc_clusters_for(g, limit - extent->bytes));
	struct expected expected;
	uint64_t matches, rest;

	while (count > 0) {
		if (!expect(g, extent, &expected))
			return false;
		matches = count_matches(g, table, index, count, &expected);
		extent->bytes += matches * g->cluster_bytes;
		index += matches;
		count -= matches;
		if (count == 0)
			break;
		rest = g->extended_l2 ? continued_bytes(g, table, index, extent) : 0;
		extent->bytes += rest;
		if (rest < g->cluster_bytes)
			return false;
		index++;
		count--;
	}
	return true;
}

/* What is known of the tables that an extent went through. */
struct passed {
	struct qc_host whole; /* all entries of this one continue an extent without a host */
};

/*
 * Any number of L1 words may name the same table. Where no entry of it says anything but the same
 * kind without a place, once is enough to look at it.
 */
static bool lengthen_in_l2(const struct qc_view *view, struct qc_host host, struct qc_guest at,
			   uint64_t limit, struct qc_extent *extent, struct passed *passed)
{
	const struct qc_geometry *g = &view->image->geometry;
	bool from_start = qc_l2_index(g, at) == 0;
	const uint8_t *table;
	struct qc_err ignored;

	if (from_start && host.byte == passed->whole.byte) {
		extent->bytes += g->l2_span_bytes;
		return true;
	}
	if (qc_table_cache_get(view->image->tables, host, &table, &ignored) < 0
	    || !lengthen_in_table(view, table, at, limit, extent))
		return false;
	if (from_start && !extent->has_host)
		passed->whole = host;
	return true;
}

/* Lengthens over the part of the disk that one L1 word stands for; false where that ends early. */
static bool lengthen_in_l1(const struct qc_view *view, struct qc_guest at, uint64_t limit,
			   struct qc_extent *extent, struct passed *passed)
{
	const struct qc_geometry *g = &view->image->geometry;
	uint64_t word = l1_word(view, at);

	if (!l1_word_is_sound(g, word))
		return false;
	if (has_table(view, word))
		return lengthen_in_l2(view, qc_l1_table_of(word), at, limit, extent, passed);
	if (extent->kind != QC_EXTENT_UNALLOCATED || extent->has_host)
		return false;
	/* Past the end of the L1 table a disk may still be exabytes long. */
	if (qc_l1_index(g, at) >= view->l1_entries)
		extent->bytes = limit;
	else
		extent->bytes += g->l2_span_bytes - at.byte % g->l2_span_bytes;
	return true;
}

static void lengthen(const struct qc_view *view, struct qc_guest at, uint64_t limit,
		     struct qc_extent *extent)
{
	struct passed passed = {0};

	while (extent->bytes < limit)
		if (!lengthen_in_l1(view, qc_guest(at.byte + extent->bytes), limit, extent,
				    &passed))
			break;
}

int qc_map_file(struct qc_file *file, uint64_t at, uint64_t max_bytes, bool *ret_data,
		uint64_t *ret_bytes, struct qc_err *err)
{
	uint64_t bytes = 0;
	bool data = false;
	int status;

	status = qc_file_extent(file, at, max_bytes, &data, &bytes, err);
	if (status < 0)
		return status;
	if (data)
		bytes = qc_align_up(at + bytes, QC_SECTOR_BYTES) - at;
	*ret_data = data;
	*ret_bytes = qc_min(bytes, max_bytes);
	return 0;
}

static int map_raw(const struct qc_view *view, struct qc_guest at, uint64_t limit,
		   struct qc_extent *ret, struct qc_err *err)
{
	struct qc_extent extent = {.has_host = true, .host = qc_host(at.byte)};
	bool data = false;
	int status;

	status = qc_map_file(view->raw, at.byte, limit, &data, &extent.bytes, err);
	if (status < 0)
		return status;
	extent.kind = data ? QC_EXTENT_DATA : QC_EXTENT_ZERO;
	*ret = extent;
	return 0;
}

int qc_map_layer(const struct qc_view *view, struct qc_guest at, uint64_t max_bytes,
		 struct qc_extent *ret, struct qc_err *err)
{
	uint64_t limit = qc_min(max_bytes, view->disk_bytes - at.byte);
	const struct qc_geometry *g;
	struct qc_l2_entry entry;
	struct qc_extent extent;
	int status;

	if (!view->image)
		return map_raw(view, at, limit, ret, err);
	g = &view->image->geometry;
	status = qc_map_entry(view, at, &entry, err);
	if (status < 0)
		return status;
	qc_map_cluster(g, &entry, qc_in_cluster(g, at.byte), &extent);
	if (extent.kind != QC_EXTENT_COMPRESSED
	    && qc_in_cluster(g, at.byte) + extent.bytes == g->cluster_bytes)
		lengthen(view, at, limit, &extent);
	extent.bytes = qc_min(extent.bytes, limit);
	*ret = extent;
	return 0;
}
