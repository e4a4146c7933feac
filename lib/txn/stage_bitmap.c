// SPDX-License-Identifier: MIT
#include "txn/stage_bitmap.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "txn/stage_header.h"
#include "txn/txn_state.h"

#define DATA_BYTES_IN_MEMORY (UINT64_C(8) << 20)
#define TABLE_BYTES_MAX (UINT64_C(64) << 20)   /* of all tables together */
#define BITMAP_BYTES_MAX (UINT64_C(512) << 20) /* QEMU's limit for the data of one bitmap */
#define ENTRY_SHIFT 32

static uint64_t index_of(size_t bitmap, uint64_t entry)
{
	return (uint64_t)bitmap << ENTRY_SHIFT | entry;
}

static uint64_t entries_for(const struct qc_txn *txn, const struct qc_bitmap *bitmap,
			    uint64_t disk_bytes)
{
	uint64_t bits = qc_div_up(disk_bytes, UINT64_C(1) << bitmap->granularity_bits);

	return qc_clusters_for(txn->geometry, qc_div_up(bits, 8));
}

/* --- tables --- */

static bool word_makes_sense(const struct qc_geometry *g, uint64_t word)
{
	uint64_t offset = word & QC_BITMAP_TABLE_OFFSET_MASK;

	return (word & QC_BITMAP_TABLE_RESERVED) == 0 && qc_in_cluster(g, offset) == 0
	       && (offset == 0 || (word & QC_BITMAP_TABLE_ALL_ONES) == 0);
}

static int load_words(struct qc_txn *txn, const struct qc_bitmap *bitmap, uint64_t *words,
		      struct qc_err *err)
{
	size_t bytes = bitmap->table_entries * sizeof(uint64_t);
	int status = qc_file_read(txn->image->file, bitmap->table.byte, words, bytes, err);

	for (uint32_t i = 0; status == 0 && i < bitmap->table_entries; i++) {
		words[i] = qc_load_be64((const uint8_t *)&words[i]);
		if (!word_makes_sense(txn->geometry, words[i]))
			status = qc_fail(err, QC_E_FORMAT,
					 "entry %" PRIu32 " of its table makes no sense (0x%" PRIx64
					 "); see qcowtool check",
					 i, words[i]);
	}
	return status;
}

/* Loads the table, with room for `entries` of them. */
static int load_table(struct qc_txn *txn, size_t number, uint64_t entries, struct qc_err *err)
{
	const struct qc_bitmap *bitmap = &txn->image->bitmaps.list[number];
	struct qc_marked_table *table = &txn->marks.tables[number];
	QC_AUTOFREE uint64_t *words = NULL;
	int status;

	assert(!table->words && entries >= bitmap->table_entries);
	if (entries_for(txn, bitmap, txn->image->header.disk_bytes) != bitmap->table_entries)
		return qc_fail(err, QC_E_FORMAT, "its table does not fit the disk");
	txn->marks.table_bytes += entries * sizeof(uint64_t);
	if (txn->marks.table_bytes > TABLE_BYTES_MAX)
		return qc_fail(err, QC_E_UNSUPPORTED, "the tables of all bitmaps are too large");
	words = calloc((size_t)entries, sizeof(uint64_t));
	if (!words)
		return qc_fail_memory(err);
	if ((status = load_words(txn, bitmap, words, err)) < 0)
		return status;
	table->words = qc_steal(&words);
	table->entries = (uint32_t)entries;
	return 0;
}

static bool is_enabled(const struct qc_bitmap *bitmap)
{
	return (bitmap->flags & (QC_BITMAP_AUTO | QC_BITMAP_IN_USE)) == QC_BITMAP_AUTO;
}

static int name_bitmap(const struct qc_bitmap *bitmap, struct qc_err *err)
{
	return qc_err_context(err, "dirty bitmap '%s'", bitmap->name);
}

/* Begins to look after the image's bitmaps, once. */
static int open_marks(struct qc_txn *txn, struct qc_err *err)
{
	struct qc_marks *marks = &txn->marks;
	size_t room = (size_t)qc_max(DATA_BYTES_IN_MEMORY >> txn->geometry->cluster_bits, 4);

	if (marks->tables)
		return 0;
	marks->tables = calloc(txn->image->bitmaps.count, sizeof(*marks->tables));
	if (!marks->tables)
		return qc_fail_memory(err);
	marks->blocks = (struct qc_stage){
		.file = txn->image->file,
		.block_bytes = (size_t)txn->geometry->cluster_bytes,
		.room = room,
		.place = qc_txn_place_table,
		.place_context = txn,
		.write = qc_txn_put,
		.write_context = txn,
	};
	return qc_stage_init(&marks->blocks, err);
}

void qc_marks_clear(struct qc_txn *txn)
{
	struct qc_marks *marks = &txn->marks;

	if (!marks->tables)
		return;
	for (size_t i = 0; i < txn->image->bitmaps.count; i++)
		free(marks->tables[i].words);
	free(marks->tables);
	qc_stage_clear(&marks->blocks);
	*marks = (struct qc_marks){0};
}

static int change_table(struct qc_txn *txn, size_t number, struct qc_err *err)
{
	int status = 0;

	if (!txn->marks.changed)
		status = qc_stage_header_bitmaps(txn, err);
	if (status < 0)
		return status;
	txn->marks.tables[number].changed = true;
	txn->marks.changed = true;
	return qc_txn_need_space(txn, err);
}

/* --- marking --- */

/* The bits of byte number `i` that lie in [from, to). */
static uint8_t bits_in(uint64_t i, uint64_t from, uint64_t to)
{
	unsigned int mask = 0xff;

	if (i == from / 8)
		mask &= 0xffu << from % 8;
	if (i == (to - 1) / 8)
		mask &= 0xffu >> (7 - (to - 1) % 8);
	return (uint8_t)mask;
}

static bool are_set(const uint8_t *bytes, uint64_t from, uint64_t to)
{
	for (uint64_t i = from / 8; i <= (to - 1) / 8; i++)
		if ((~bytes[i] & bits_in(i, from, to)) != 0)
			return false;
	return true;
}

static void set_bits(uint8_t *bytes, uint64_t from, uint64_t to)
{
	for (uint64_t i = from / 8; i <= (to - 1) / 8; i++)
		bytes[i] |= bits_in(i, from, to);
}

static int drop_data(struct qc_txn *txn, struct qc_host old, struct qc_err *err)
{
	if (qc_host_is_none(old))
		return 0;
	return qc_refs_drop_table(&txn->refs, old, txn->geometry->cluster_bytes, err);
}

/* Marks bits [from, to) of the data that one table entry leads to. */
static int mark_entry(struct qc_txn *txn, size_t number, uint64_t entry, uint64_t from, uint64_t to,
		      struct qc_err *err)
{
	struct qc_stage *blocks = &txn->marks.blocks;
	uint64_t *word = &txn->marks.tables[number].words[entry];
	struct qc_host old = qc_host(*word & QC_BITMAP_TABLE_OFFSET_MASK);
	struct qc_block *block = qc_stage_find(blocks, index_of(number, entry));
	bool whole = from == 0 && to == txn->geometry->cluster_bytes * 8;
	int status;

	if (*word == QC_BITMAP_TABLE_ALL_ONES)
		return 0;
	if (whole && !(block && block->changed)) {
		if ((status = change_table(txn, number, err)) < 0)
			return status;
		*word = QC_BITMAP_TABLE_ALL_ONES;
		return drop_data(txn, old, err);
	}
	status = qc_stage_get(blocks, index_of(number, entry), old, &block, err);
	if (status < 0 || are_set(block->bytes, from, to))
		return status;
	if ((status = change_table(txn, number, err)) < 0)
		return status;
	if (qc_stage_change(blocks, block) && (status = drop_data(txn, old, err)) < 0)
		return status;
	set_bits(block->bytes, from, to);
	return 0;
}

static int mark_bitmap(struct qc_txn *txn, size_t number, uint64_t first, uint64_t end,
		       struct qc_err *err)
{
	const struct qc_bitmap *bitmap = &txn->image->bitmaps.list[number];
	const uint64_t bits = txn->geometry->cluster_bytes * 8;
	int status = 0;

	if (!txn->marks.tables[number].words)
		status = load_table(txn, number, bitmap->table_entries, err);
	while (status == 0 && first < end) {
		uint64_t entry = first / bits;
		uint64_t to = qc_min(end - entry * bits, bits);

		status = mark_entry(txn, number, entry, first % bits, to, err);
		first = (entry + 1) * bits;
	}
	return status < 0 ? name_bitmap(bitmap, err) : 0;
}

int qc_marks_set(struct qc_txn *txn, struct qc_guest at, uint64_t length, struct qc_err *err)
{
	const struct qc_bitmaps *all = &txn->image->bitmaps;
	int status;

	if (all->count == 0 || length == 0)
		return 0;
	status = open_marks(txn, err);
	for (size_t i = 0; status == 0 && i < all->count; i++) {
		uint8_t shift = all->list[i].granularity_bits;

		if (is_enabled(&all->list[i]))
			status = mark_bitmap(txn, i, at.byte >> shift,
					     ((at.byte + length - 1) >> shift) + 1, err);
	}
	return status;
}

/* --- growing --- */

static int grow_bitmap(struct qc_txn *txn, size_t number, uint64_t entries, struct qc_err *err)
{
	const struct qc_bitmap *bitmap = &txn->image->bitmaps.list[number];
	struct qc_marked_table *table = &txn->marks.tables[number];
	uint64_t had = table->words ? table->entries : bitmap->table_entries;
	uint64_t *grown;
	int status;

	if (entries <= had)
		return 0;
	if ((bitmap->flags & QC_BITMAP_IN_USE) != 0)
		return qc_fail(err, QC_E_UNSUPPORTED,
			       "it was not saved correctly and cannot change its size");
	if (entries > BITMAP_BYTES_MAX >> txn->geometry->cluster_bits)
		return qc_fail(err, QC_E_UNSUPPORTED, "it cannot become that long");
	if (!table->words) {
		status = load_table(txn, number, entries, err);
		return status < 0 ? status : change_table(txn, number, err);
	}
	grown = reallocarray(table->words, (size_t)entries, sizeof(uint64_t));
	if (!grown)
		return qc_fail_memory(err);
	memset(grown + had, 0, (size_t)(entries - had) * sizeof(uint64_t));
	table->words = grown;
	table->entries = (uint32_t)entries;
	return change_table(txn, number, err);
}

int qc_marks_grow(struct qc_txn *txn, uint64_t disk_bytes, struct qc_err *err)
{
	const struct qc_bitmaps *all = &txn->image->bitmaps;
	int status = all->count > 0 ? open_marks(txn, err) : 0;

	for (size_t i = 0; status == 0 && i < all->count; i++) {
		status = grow_bitmap(txn, i, entries_for(txn, &all->list[i], disk_bytes), err);
		if (status < 0)
			status = name_bitmap(&all->list[i], err);
	}
	return status;
}

/* --- the commit --- */

static int settle_data(struct qc_txn *txn, struct qc_err *err)
{
	struct qc_stage *blocks = &txn->marks.blocks;
	QC_AUTOFREE struct qc_block **list = NULL;
	int status = qc_stage_list(blocks, &list, err);

	for (size_t i = 0; status == 0 && i < blocks->changed; i++) {
		size_t number = (size_t)(list[i]->index >> ENTRY_SHIFT);

		if (qc_host_is_none(list[i]->new_host))
			status = qc_txn_place_table(txn, list[i], err);
		txn->marks.tables[number].words[list[i]->index & UINT32_MAX] =
			list[i]->new_host.byte;
	}
	return status;
}

static int settle_table(struct qc_txn *txn, size_t number, struct qc_err *err)
{
	struct qc_bitmap *bitmap = &txn->image->bitmaps.list[number];
	const struct qc_marked_table *marked = &txn->marks.tables[number];
	struct qc_staged_table *table;
	int status;

	if (!marked->changed)
		return 0;
	status = qc_staged_table_add(txn, QC_JOURNAL_BITMAP_TABLE, number, bitmap->table,
				     (uint64_t)bitmap->table_entries * sizeof(uint64_t),
				     (uint64_t)marked->entries * sizeof(uint64_t), &table, err);
	if (status < 0)
		return status;
	bitmap->table = table->new_host;
	bitmap->table_entries = marked->entries;
	return 0;
}

int qc_marks_settle(struct qc_txn *txn, struct qc_err *err)
{
	const struct qc_extensions *extensions = &txn->image->extensions;
	const struct qc_bitmaps *all = &txn->image->bitmaps;
	struct qc_staged_table *table;
	int status;

	if (!txn->marks.changed)
		return 0;
	status = settle_data(txn, err);
	for (size_t i = 0; status == 0 && i < all->count; i++)
		status = settle_table(txn, i, err);
	if (status == 0)
		status = qc_staged_table_add(txn, QC_JOURNAL_BITMAP_DIRECTORY, 0,
					     extensions->bitmap_directory,
					     extensions->bitmap_directory_bytes,
					     qc_bitmaps_encoded_bytes(all), &table, err);
	if (status < 0)
		return status;
	txn->marks.directory = table->new_host;
	return 0;
}

static int write_directory(struct qc_txn *txn, struct qc_staged_table *table, struct qc_err *err)
{
	QC_AUTOFREE uint8_t *bytes =
		calloc(1, (size_t)qc_align_up(table->bytes, txn->geometry->cluster_bytes));

	if (!bytes)
		return qc_fail_memory(err);
	qc_bitmaps_encode(&txn->image->bitmaps, bytes);
	return qc_staged_table_write(txn, table, bytes, err);
}

int qc_marks_write(struct qc_txn *txn, struct qc_err *err)
{
	int status;

	if (!txn->marks.changed)
		return 0;
	status = qc_stage_flush(&txn->marks.blocks, err);
	for (size_t i = 0; status == 0 && i < txn->table_count; i++)
		if (txn->tables[i].kind == QC_JOURNAL_BITMAP_DIRECTORY)
			status = write_directory(txn, &txn->tables[i], err);
		else if (txn->tables[i].kind == QC_JOURNAL_BITMAP_TABLE)
			status = qc_staged_table_write_entries(
				txn, &txn->tables[i], txn->marks.tables[txn->tables[i].index].words,
				UINT64_MAX, err);
	return status;
}
