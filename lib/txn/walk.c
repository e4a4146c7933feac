// SPDX-License-Identifier: MIT
#include "txn/walk.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/bitmap_directory.h"
#include "format/compressed_desc.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "format/limits.h"
#include "format/refcount_entry.h"

/* L2 tables looked at together: bounds the memory (8 MiB) of sorting them into file order. */
#define TABLES_AT_ONCE ((size_t)1 << 20)
#define READ_BYTES ((size_t)1 << 18)

struct walk {
	struct qc_image *image;
	const struct qc_walk_sink *sink;
	uint64_t *tables; /* host offsets of L2 tables that wait to be read */
	size_t table_count, table_room;
	uint8_t *buffer; /* one cluster, or READ_BYTES if that is more */
	size_t buffer_bytes;
};

struct extent {
	uint64_t offset, bytes;
};

static int take_bytes(struct walk *w, struct qc_host at, uint64_t bytes, struct qc_err *err)
{
	const struct qc_geometry *g = &w->image->geometry;
	uint64_t first = qc_host_cluster(g, at);

	if (bytes == 0)
		return 0;
	return w->sink->take(w->sink->context, first,
			     qc_host_cluster(g, qc_host(at.byte + bytes - 1)) - first + 1, err);
}

static int fail_entry(const struct qc_walk_sink *sink, const char *what, uint64_t word,
		      uint64_t where, struct qc_err *err)
{
	if (sink->tolerant)
		return 0;
	return qc_fail(err, QC_E_FORMAT,
		       "%s 0x%" PRIx64 " at host offset 0x%" PRIx64
		       " makes no sense; see qcowtool check",
		       what, word, where);
}

/* --- L2 tables --- */

/* Where the bits of the offset say, aligned or not. */
static int take_faulty_l2_entry(const struct qc_geometry *g, uint64_t word,
				const struct qc_walk_sink *sink, struct qc_err *err)
{
	struct qc_host host = qc_host(word & QC_L2_OFFSET_MASK);
	uint64_t bytes = g->cluster_bytes, first;

	if (word & QC_L2_COMPRESSED)
		qc_compressed_decode(g, word & ~QC_L2_COPIED, &host, &bytes);
	else if (qc_host_is_none(host))
		return 0;
	first = qc_host_cluster(g, host);
	return sink->take(sink->context, first,
			  qc_host_cluster(g, qc_host(host.byte + bytes - 1)) - first + 1, err);
}

static int take_odd_l2_entry(const struct qc_geometry *g, struct qc_l2_words words, uint64_t where,
			     const struct qc_walk_sink *sink, struct qc_err *err)
{
	struct qc_l2_entry entry;
	uint64_t first, count = 1;

	if (qc_l2_decode(g, words, &entry) != QC_L2_FAULT_NONE)
		return sink->tolerant ? take_faulty_l2_entry(g, words.entry, sink, err)
				      : fail_entry(sink, "L2 entry", words.entry, where, err);
	if (qc_host_is_none(entry.host))
		return 0;
	first = qc_host_cluster(g, entry.host);
	if (entry.compressed)
		qc_compressed_clusters(g, entry.host, entry.compressed_bytes, &first, &count);
	return sink->take(sink->context, first, count, err);
}

/*
 * Most entries are plain data clusters, each next to the one before: then its word is the one before
 * plus a cluster. Only where a run ends is an entry looked at closely.
 */
int qc_walk_l2_table(const struct qc_geometry *g, const uint8_t *table, struct qc_host where,
		     const struct qc_walk_sink *sink, struct qc_err *err)
{
	const uint64_t cluster = g->cluster_bytes;
	const uint64_t odd = QC_L2_COMPRESSED | QC_L2_RESERVED | (cluster - 1);
	const size_t step = g->l2_entry_bytes;
	const uint8_t *end = table + cluster;
	int status;

	if (g->external_data)
		return 0; /* its offsets are those of another file */
	while (table < end) {
		uint64_t word = qc_load_be64(table);
		uint64_t bitmap = g->extended_l2 ? qc_load_be64(table + 8) : 0;
		uint64_t first = (word & QC_L2_OFFSET_MASK) >> g->cluster_bits;
		uint64_t count = 1;

		table += step;
		if ((word | bitmap) == 0)
			continue;
		if ((word & odd) != 0 || first == 0 || (bitmap & bitmap >> 32 & UINT32_MAX) != 0) {
			status = take_odd_l2_entry(g, (struct qc_l2_words){word, bitmap},
						   where.byte, sink, err);
			if (status < 0)
				return status;
			continue;
		}
		while (!g->extended_l2 && table < end && qc_load_be64(table) == word + cluster) {
			word += cluster;
			table += step;
			count++;
		}
		if ((status = sink->take(sink->context, first, count, err)) < 0)
			return status;
	}
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Reads L2 tables that lie side by side. What is a hole refers to nothing. */
static int walk_run(struct walk *w, const uint64_t *tables, size_t count, struct qc_err *err)
{
	const struct qc_geometry *g = &w->image->geometry;
	uint64_t bytes = count * g->cluster_bytes, length;
	bool data;
	int status;

	status = qc_file_extent(w->image->file, tables[0], bytes, &data, &length, err);
	if (status == 0 && !data && length == bytes)
		return 0;
	if (status == 0)
		status = qc_file_read(w->image->file, tables[0], w->buffer, (size_t)bytes, err);
	if (status < 0)
		return qc_err_context(err, "L2 table at host offset 0x%" PRIx64, tables[0]);
	for (size_t i = 0; status == 0 && i < count; i++)
		status = qc_walk_l2_table(g, w->buffer + i * g->cluster_bytes, qc_host(tables[i]),
					  w->sink, err);
	return status;
}

/* Reads the tables that wait, neighbours together; one that waits more than once, twice. */
static int flush_tables(struct walk *w, struct qc_err *err)
{
	size_t cluster = (size_t)w->image->geometry.cluster_bytes;
	size_t at_once = w->buffer_bytes / cluster;
	size_t count = 0;
	int status;

	if (w->table_count == 0)
		return 0;
	qsort(w->tables, w->table_count, sizeof(*w->tables), by_offset);
	for (size_t i = 0; i < w->table_count; i++)
		if ((count < 2 || w->tables[count - 2] != w->tables[i])
		    && w->tables[i] < w->image->file->bytes) /* beyond the end all is zero */
			w->tables[count++] = w->tables[i];
	w->table_count = 0;
	for (size_t i = 0, run; i < count; i += run) {
		for (run = 1; run < at_once && i + run < count; run++)
			if (w->tables[i + run] != w->tables[i] + run * cluster)
				break;
		if ((status = walk_run(w, w->tables + i, run, err)) < 0)
			return status;
	}
	return 0;
}

/* Most images have few tables, and memory that is not touched is not always free. */
static int grow_tables(struct walk *w, struct qc_err *err)
{
	size_t room = w->table_room ? w->table_room * 2 : 1024;
	uint64_t *grown = reallocarray(w->tables, room, sizeof(*grown));

	if (!grown)
		return qc_fail_memory(err);
	w->tables = grown;
	w->table_room = room;
	return 0;
}

static int add_table(struct walk *w, uint64_t offset, struct qc_err *err)
{
	int status;

	status = take_bytes(w, qc_host(offset), w->image->geometry.cluster_bytes, err);
	if (status == 0 && w->table_count == w->table_room)
		status = grow_tables(w, err);
	if (status < 0)
		return status;
	w->tables[w->table_count++] = offset;
	return w->table_count == TABLES_AT_ONCE ? flush_tables(w, err) : 0;
}

/* --- tables of words: L1, refcount and bitmap tables --- */

/* What one kind of table's words refer to. */
typedef int visit(struct walk *w, uint64_t word, uint64_t where, struct qc_err *err);

static int visit_l1(struct walk *w, uint64_t word, uint64_t where, struct qc_err *err)
{
	struct qc_host table = qc_l1_table_of(word);

	if ((word & QC_L1_RESERVED) == 0 && qc_in_cluster(&w->image->geometry, table.byte) == 0)
		return qc_host_is_none(table) ? 0 : add_table(w, table.byte, err);
	/* Even a table on the header, as the check and QEMU have it. */
	return w->sink->tolerant ? add_table(w, table.byte, err)
				 : fail_entry(w->sink, "L1 entry", word, where, err);
}

static int visit_refcount(struct walk *w, uint64_t word, uint64_t where, struct qc_err *err)
{
	uint64_t cluster = w->image->geometry.cluster_bytes;
	struct qc_host block = qc_host(word & QC_REFCOUNT_TABLE_OFFSET_MASK);

	/* Readers that pass over the reserved bits find their block all the same. */
	if (word > QC_HOST_OFFSET_MAX || (!w->sink->tolerant && !qc_is_aligned(word, cluster)))
		return fail_entry(w->sink, "refcount table entry", word, where, err);
	return qc_host_is_none(block) ? 0 : take_bytes(w, block, cluster, err);
}

static int visit_bitmap(struct walk *w, uint64_t word, uint64_t where, struct qc_err *err)
{
	struct qc_host part = qc_host(word & QC_BITMAP_TABLE_OFFSET_MASK);

	if (!w->sink->tolerant && (word & QC_BITMAP_TABLE_RESERVED) != 0)
		return fail_entry(w->sink, "bitmap table entry", word, where, err);
	return qc_host_is_none(part) ? 0 : take_bytes(w, part, 1, err);
}

static int read_words(struct walk *w, uint64_t offset, uint64_t bytes, visit *visit_word,
		      struct qc_err *err)
{
	uint8_t words[4096];
	int status = 0;

	for (uint64_t done = 0; status == 0 && done < bytes; done += sizeof(words)) {
		size_t now = (size_t)qc_min(sizeof(words), bytes - done);

		status = qc_file_read(w->image->file, offset + done, words, now, err);
		for (size_t i = 0; status == 0 && i < now; i += sizeof(uint64_t)) {
			uint64_t word = qc_load_be64(words + i);

			if (word != 0)
				status = visit_word(w, word, offset + done + i, err);
		}
	}
	return status;
}

/* Of a long table, what is a hole is not read. */
static int walk_words(struct walk *w, uint64_t offset, uint64_t bytes, visit *visit_word,
		      struct qc_err *err)
{
	int status = 0;

	for (uint64_t run; status == 0 && bytes > 0; offset += run, bytes -= run) {
		bool data = true;

		run = bytes;
		if (bytes > QC_FILE_WORTH_ASKING_BYTES)
			status = qc_file_extent(w->image->file, offset, bytes, &data, &run, err);
		/* Whole words, wherever the file ends. */
		run = qc_min(qc_align_up(run, sizeof(uint64_t)), bytes);
		if (status == 0 && data)
			status = read_words(w, offset, run, visit_word, err);
	}
	return status;
}

static int by_extent(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

/*
 * Tables of one kind. Where they overlap they come up twice, however many there are, and their words are
 * read once.
 */
static int walk_tables(struct walk *w, struct extent *all, size_t count, visit *visit_word,
		       struct qc_err *err)
{
	/* Beyond the end of the file all is zero. */
	uint64_t file_end = qc_align_up(w->image->file->bytes, sizeof(uint64_t));
	uint64_t walked_to = 0, once_to = 0, twice_to = 0;
	int status = 0;

	qsort(all, count, sizeof(*all), by_extent);
	for (size_t i = 0; status == 0 && i < count; i++) {
		uint64_t end, from = qc_max(all[i].offset, twice_to);

		if (!qc_add(all[i].offset, all[i].bytes, &end))
			end = UINT64_MAX;
		if (from < end)
			status = take_bytes(w, qc_host(from), end - from, err);
		twice_to = qc_max(twice_to, qc_min(once_to, end));
		once_to = qc_max(once_to, end);
		from = qc_max(all[i].offset, walked_to);
		end = qc_min(end, file_end);
		if (status == 0 && from < end) {
			status = walk_words(w, from, end - from, visit_word, err);
			walked_to = end;
		}
	}
	return status;
}

/* What there is of an L1 table that is too long for any reader is kept all the same. */
static struct extent l1_extent(const struct walk *w, struct qc_host at, uint64_t entries)
{
	uint64_t bytes = entries * sizeof(uint64_t), file_bytes = w->image->file->bytes;

	if (bytes > QC_L1_BYTES_MAX)
		bytes = file_bytes - qc_min(at.byte, file_bytes);
	return (struct extent){at.byte, bytes};
}

static int walk_l1_tables(struct walk *w, struct qc_err *err)
{
	const struct qc_image *image = w->image;
	size_t count = image->snapshots.count;
	QC_AUTOFREE struct extent *all = calloc(count + 1, sizeof(*all));
	int status;

	if (!all)
		return qc_fail_memory(err);
	for (size_t i = 0; i < count; i++)
		all[i] = l1_extent(w, image->snapshots.list[i].l1,
				   image->snapshots.list[i].l1_entries);
	all[count] = l1_extent(w, image->header.l1, image->header.l1_entries);
	status = walk_tables(w, all, count + 1, visit_l1, err);
	return status < 0 ? status : flush_tables(w, err);
}

static int walk_bitmaps(struct walk *w, struct qc_err *err)
{
	const struct qc_bitmaps *bitmaps = &w->image->bitmaps;
	QC_AUTOFREE struct extent *all = calloc(bitmaps->count + 1, sizeof(*all));

	if (!all)
		return qc_fail_memory(err);
	for (size_t i = 0; i < bitmaps->count; i++)
		all[i] = (struct extent){bitmaps->list[i].table.byte,
					 (uint64_t)bitmaps->list[i].table_entries
						 * sizeof(uint64_t)};
	return walk_tables(w, all, bitmaps->count, visit_bitmap, err);
}

static int walk_rest(struct walk *w, struct qc_err *err)
{
	const struct qc_image *image = w->image;
	const struct qc_extensions *extensions = &image->extensions;
	struct extent refcount_table = {
		image->header.refcount_table.byte,
		image->header.refcount_table_clusters * image->geometry.cluster_bytes,
	};
	int status;

	if ((status = take_bytes(w, qc_host(0), 1, err)) < 0
	    || (status = walk_tables(w, &refcount_table, 1, visit_refcount, err)) < 0
	    || (status = take_bytes(w, image->header.snapshot_table, image->snapshots.table_bytes,
				    err))
		       < 0)
		return status;
	if (extensions->has_crypto
	    && (status = take_bytes(w, extensions->crypto_header, extensions->crypto_header_bytes,
				    err))
		       < 0)
		return status;
	if (extensions->has_bitmaps
	    && (status = take_bytes(w, extensions->bitmap_directory,
				    extensions->bitmap_directory_bytes, err))
		       < 0)
		return status;
	return walk_bitmaps(w, err);
}

int qc_walk_references(struct qc_image *image, const struct qc_walk_sink *sink, struct qc_err *err)
{
	size_t buffer_bytes = (size_t)qc_max(image->geometry.cluster_bytes, READ_BYTES);
	QC_AUTOFREE uint8_t *buffer = malloc(buffer_bytes);
	struct walk w = {
		.image = image,
		.sink = sink,
		.buffer = buffer,
		.buffer_bytes = buffer_bytes,
	};
	int status;

	if (!buffer)
		return qc_fail_memory(err);
	status = walk_rest(&w, err);
	if (status == 0)
		status = walk_l1_tables(&w, err);
	free(w.tables);
	return status;
}
