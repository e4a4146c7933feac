// SPDX-License-Identifier: MIT
#include "tests/support/guard_live.h"

#include <stdlib.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "check/check.h"
#include "format/header_extensions.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "format/refcount_entry.h"
#include "tests/support/image_builder_impl.h"

static void must_read(const struct guard_live *l, uint64_t offset, void *buffer, size_t length)
{
	struct qc_err err;

	builder_must(qc_file_read(l->truth, offset, buffer, length, &err) == 0,
		     "the guard cannot read the image");
}

static uint64_t read_word(const struct guard_live *l, uint64_t offset)
{
	uint8_t word[8];

	must_read(l, offset, word, sizeof(word));
	return qc_load_be64(word);
}

/* --- what has a count --- */

/*
 * Where the block is that the word of the table leads to; 0: there is none, or it counts nothing, as it is
 * not aligned or not in the file. One that the end of the file cuts counts with the part that is there.
 */
static uint64_t block_at(const struct guard_live *l, uint64_t word)
{
	uint64_t at = word & QC_REFCOUNT_TABLE_OFFSET_MASK;

	return qc_is_aligned(at, l->geometry.cluster_bytes) && at < l->file_bytes ? at : 0;
}

static uint64_t table_bytes(const struct guard_live *l)
{
	return l->header.refcount_table_clusters * l->geometry.cluster_bytes;
}

/* The block that counts the cluster, likewise. */
static uint64_t block_of(const struct guard_live *l, uint64_t cluster)
{
	uint64_t in_table = cluster / l->geometry.refcounts_per_block * 8;
	uint64_t table = l->header.refcount_table.byte;

	if (in_table >= table_bytes(l) || !qc_range_fits(table, in_table, l->file_bytes))
		return 0;
	return block_at(l, read_word(l, table + in_table));
}

/* The library has code for this that is faster, and that the guard is there to watch. */
static bool has_count(const struct guard_live *l, uint64_t block, uint64_t cluster)
{
	uint64_t bits = UINT64_C(1) << l->geometry.refcount_order;
	uint64_t at = cluster % l->geometry.refcounts_per_block * bits;
	uint8_t bytes[8] = {0};

	must_read(l, block + at / 8, bytes, (size_t)qc_div_up(bits, 8));
	if (bits < 8)
		return (bytes[0] >> at % 8 & ((1 << bits) - 1)) != 0;
	return qc_load_be64(bytes) != 0;
}

static bool any_has_count(const struct guard_live *l, uint64_t first, uint64_t end)
{
	uint64_t per_block = l->geometry.refcounts_per_block, next;

	/* Counts that cannot be trusted are believed as far as there is something to count. */
	if (l->with_references)
		end = qc_min(end, qc_clusters_for(&l->geometry, l->file_bytes));
	for (; first < end; first = next) {
		uint64_t block = block_of(l, first);

		next = qc_min(end, (first / per_block + 1) * per_block);
		for (uint64_t i = first; block != 0 && i < next; i++)
			if (has_count(l, block, i))
				return true;
	}
	return false;
}

/* --- what is referred to --- */

/* From the start of a cluster on, whatever is said. */
static void add_reference(struct guard_live *l, uint64_t offset, uint64_t bytes)
{
	uint64_t start = qc_align_down(offset, l->geometry.cluster_bytes);
	struct qc_err err;

	bytes = qc_min(bytes + (offset - start), UINT64_MAX - start);
	builder_must(qc_ranges_add(&l->references, start, bytes, &err) == 0, "out of memory");
}

static int take_reference(void *context, uint64_t cluster, uint64_t stored, uint64_t found,
			  struct qc_err *err)
{
	struct guard_live *l = context;

	(void)stored, (void)err;
	if (found > 0)
		add_reference(l, cluster << l->geometry.cluster_bits, l->geometry.cluster_bytes);
	return 0;
}

static void add_refcount_structures(struct guard_live *l)
{
	size_t length = (size_t)qc_min(table_bytes(l), QC_REFCOUNT_TABLE_BYTES_MAX);
	QC_AUTOFREE uint8_t *words = calloc(1, length + 1);
	uint64_t table = l->header.refcount_table.byte;
	struct qc_err err;

	add_reference(l, table, table_bytes(l));
	builder_must(words != NULL, "out of memory");
	builder_must(qc_file_read_sparse(l->truth, table, words, length, &err) == 0,
		     "the guard cannot read the image");
	for (size_t i = 0; i + 8 <= length; i += 8) {
		uint64_t block = block_at(l, qc_load_be64(words + i));

		if (block != 0)
			add_reference(l, block, l->geometry.cluster_bytes);
	}
}

/* An image that cannot be walked is one that nobody may change. */
static void find_references(struct guard_live *l)
{
	const struct qc_check_options options = {
		.findings_max = 1,
		.without_refcounts = true,
		.mismatch = take_reference,
		.context = l,
	};
	struct qc_check_result result;
	struct qc_err err;

	add_refcount_structures(l);
	l->is_walked = qc_check_run(l->truth, &options, &qc_findings_unheard, &result, &err) == 0
		       && result.completed;
}

/* --- cluster 0 --- */

static void find_names(struct guard_live *l)
{
	size_t length = (size_t)l->geometry.cluster_bytes;
	QC_AUTOFREE uint8_t *cluster0 = malloc(length);
	struct qc_extensions extensions;
	struct qc_err err;

	builder_must(cluster0 != NULL, "out of memory");
	must_read(l, 0, cluster0, length);
	builder_must(qc_extensions_decode(&l->header, cluster0, length, &qc_findings_unheard,
					  &extensions, &err)
			     == 0,
		     "out of memory");
	l->extensions_end = extensions.end_offset;
	l->name_at = l->header.backing_name.byte;
	l->name_end = l->name_at + l->header.backing_name_bytes;
	qc_extensions_clear(&extensions);
}

/* Whether the range only touches bytes of cluster 0, behind sector 0, that the header refers to in no way. */
static bool is_beside_header(const struct guard_live *l, uint64_t offset, uint64_t length)
{
	return offset >= qc_max(QC_SECTOR_BYTES, l->extensions_end)
	       && offset + length <= l->geometry.cluster_bytes
	       && (offset >= l->name_end || offset + length <= l->name_at);
}

/* --- all of it --- */

void guard_live_load(struct guard_live *l)
{
	uint8_t sector[QC_SECTOR_BYTES];
	struct qc_err err;

	guard_live_clear(l);
	l->known = true;
	must_read(l, 0, sector, sizeof(sector));
	l->is_image =
		qc_header_decode(sector, sizeof(sector), &qc_findings_unheard, &l->header, &err)
		== 0;
	if (!l->is_image)
		return;
	qc_header_geometry(&l->header, &l->geometry);
	l->file_bytes = l->truth->bytes;
	find_names(l);
	if (l->with_references)
		find_references(l);
}

void guard_live_clear(struct guard_live *l)
{
	qc_ranges_clear(&l->references);
	*l = (struct guard_live){.truth = l->truth, .with_references = l->with_references};
}

static uint64_t first_of(const struct guard_live *l, uint64_t offset)
{
	return offset >> l->geometry.cluster_bits;
}

static uint64_t end_of(const struct guard_live *l, uint64_t offset, uint64_t length)
{
	return qc_clusters_for(&l->geometry, offset + length);
}

bool guard_live_counts(const struct guard_live *l, uint64_t offset, uint64_t length)
{
	if (length == 0)
		return false;
	return !l->is_image || offset < QC_SECTOR_BYTES
	       || any_has_count(l, first_of(l, offset), end_of(l, offset, length));
}

bool guard_live_uses(const struct guard_live *l, uint64_t offset, uint64_t length)
{
	size_t next;

	if (length == 0 || (l->is_image && is_beside_header(l, offset, length)))
		return false;
	if (guard_live_counts(l, offset, length) || (l->with_references && !l->is_walked))
		return true;
	next = qc_ranges_find(&l->references, offset);
	return next < l->references.count && l->references.list[next].offset < offset + length;
}

/* --- the data file --- */

static struct qc_l2_words read_entry(const struct guard_live *l, uint64_t at)
{
	return (struct qc_l2_words){
		.entry = read_word(l, at),
		.bitmap = l->geometry.extended_l2 ? read_word(l, at + 8) : 0,
	};
}

/* Whether the image shows any of the bytes [from, to), which lie in one cluster of the guest. */
static bool shows_piece(const struct guard_live *l, uint64_t from, uint64_t to)
{
	const struct qc_geometry *g = &l->geometry;
	uint64_t index = qc_l1_index(g, qc_guest(from)), table;
	struct qc_l2_entry entry;

	table = index < l->header.l1_entries
			? qc_l1_table_of(read_word(l, l->header.l1.byte + index * 8)).byte
			: 0;
	if (table == 0)
		return false;
	qc_l2_decode(g, read_entry(l, table + qc_l2_index(g, qc_guest(from)) * g->l2_entry_bytes),
		     &entry);
	for (uint64_t at = from; at < to;
	     at = qc_align_down(at, g->subcluster_bytes) + g->subcluster_bytes)
		if (entry.allocated >> qc_in_cluster(g, at) / g->subcluster_bytes & 1)
			return true;
	return false;
}

bool guard_live_shows(const struct guard_live *l, uint64_t offset, uint64_t length)
{
	uint64_t end, next;

	if (!l->is_image)
		return true;
	end = qc_min(offset + length, l->header.disk_bytes);
	for (; offset < end; offset = next) {
		next = qc_min(end, qc_align_down(offset, l->geometry.cluster_bytes)
					   + l->geometry.cluster_bytes);
		if (guard_live_is_raw(l) || shows_piece(l, offset, next))
			return true;
	}
	return false;
}

bool guard_live_is_marked(const struct guard_live *l)
{
	return l->is_image && (l->header.incompatible & QC_INCOMPAT_CORRUPT) != 0;
}

bool guard_live_is_raw(const struct guard_live *l)
{
	return l->is_image && (l->header.autoclear & QC_AUTOCLEAR_DATA_RAW) != 0;
}
