// SPDX-License-Identifier: MIT
#include "txn/journal_write.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/refcount_entry.h"
#include "txn/forest_impl.h"
#include "txn/txn_state.h"

#define BUFFER_RECORDS ((size_t)1024)
#define HEAD_BYTES sizeof(struct qc_disk_journal_head)
#define RECORD_BYTES sizeof(struct qc_disk_journal_record)

/* The records are produced twice: once to count them, once to write them. */

struct writer {
	struct qc_txn *txn;
	bool counting;
	bool shared_freed;
	uint64_t records;
	uint64_t at; /* where the buffer goes */
	size_t buffered;
	struct qc_disk_journal_record *buffer; /* BUFFER_RECORDS of them */
	XXH64_state_t *digest;
};

static int write_bytes(struct writer *w, const void *bytes, size_t length, struct qc_err *err)
{
	XXH64_update(w->digest, bytes, length);
	w->at += length;
	return qc_txn_put(w->txn, qc_host(w->at - length), bytes, length, err);
}

static int flush_records(struct writer *w, struct qc_err *err)
{
	size_t length = w->buffered * RECORD_BYTES;

	w->buffered = 0;
	return length ? write_bytes(w, w->buffer, length, err) : 0;
}

static int emit(struct writer *w, const struct qc_journal_record *record, struct qc_err *err)
{
	w->records++;
	if (w->counting)
		return 0;
	qc_journal_record_encode(record, &w->buffer[w->buffered++]);
	return w->buffered == BUFFER_RECORDS ? flush_records(w, err) : 0;
}

static int emit_blocks(struct writer *w, enum qc_journal_kind kind, const struct qc_stage *stage,
		       struct qc_err *err)
{
	QC_AUTOFREE struct qc_block **list = NULL;
	int status = qc_stage_list(stage, &list, err);

	for (size_t i = 0; status == 0 && i < stage->changed; i++)
		status = emit(w,
			      &(struct qc_journal_record){
				      .kind = kind,
				      .index = list[i]->ways ? list[i]->l1_index : list[i]->index,
				      .old_host = list[i]->old_host,
				      .new_host = list[i]->new_host,
				      .length = stage->block_bytes,
				      .digest = list[i]->digest,
			      },
			      err);
	return status;
}

/* Where redo clusters are, for the data file; their space is given back like any other. */
static int emit_redo(struct writer *w, struct qc_err *err)
{
	const struct qc_external *external = &w->txn->external;
	const struct qc_ranges *zeroes = &external->zeroes;
	int status = 0;

	for (size_t i = 0; status == 0 && i < zeroes->count; i++)
		status = emit(w,
			      &(struct qc_journal_record){
				      .kind = QC_JOURNAL_DATA_ZERO,
				      .index = zeroes->list[i].offset,
				      .length = zeroes->list[i].bytes,
			      },
			      err);
	if (status < 0 || external->redo.changed == 0)
		return status;
	return emit_blocks(w, QC_JOURNAL_DATA, &external->redo, err);
}

static int emit_redo_space(struct writer *w, struct qc_err *err)
{
	const struct qc_stage *redo = &w->txn->external.redo;
	QC_AUTOFREE struct qc_block **list = NULL;
	int status = 0;

	if (redo->changed == 0)
		return 0;
	status = qc_stage_list(redo, &list, err);
	for (size_t i = 0, run; status == 0 && i < redo->changed; i += run) {
		uint64_t first = list[i]->new_host.byte;

		for (run = 1; i + run < redo->changed; run++)
			if (list[i + run]->new_host.byte != first + run * redo->block_bytes)
				break;
		if (w->records < w->txn->journal_records_max)
			status = emit(w,
				      &(struct qc_journal_record){
					      .kind = QC_JOURNAL_FREED,
					      .old_host = qc_host(first),
					      .length = run * redo->block_bytes,
				      },
				      err);
	}
	return status;
}

static int emit_tables(struct writer *w, struct qc_err *err)
{
	const struct qc_txn *txn = w->txn;
	const struct qc_refs *refs = &txn->refs;
	int status = 0;

	for (size_t i = 0; status == 0 && i < txn->table_count; i++)
		status = emit(w,
			      &(struct qc_journal_record){
				      .kind = txn->tables[i].kind,
				      .index = txn->tables[i].index,
				      .old_host = txn->tables[i].old_host,
				      .new_host = txn->tables[i].new_host,
				      .length = txn->tables[i].bytes,
				      .digest = txn->tables[i].digest,
			      },
			      err);
	if (status == 0 && !qc_host_is_none(refs->new_table))
		status = emit(w,
			      &(struct qc_journal_record){
				      .kind = QC_JOURNAL_REFCOUNT_TABLE,
				      .old_host = refs->old_table,
				      .new_host = refs->new_table,
				      .length = refs->new_table_clusters
						* txn->geometry->cluster_bytes,
				      .digest = refs->new_table_digest,
			      },
			      err);
	return status;
}

/* The first count at or after `from` that the old block uses and the new one does not. */
static uint64_t next_freed(const struct qc_geometry *g, const uint8_t *old, const uint8_t *new,
			   uint64_t from)
{
	uint64_t at = from, free;

	while ((at = qc_refcount_next_used(g, old, at)) < g->refcounts_per_block) {
		free = qc_refcount_next_free(g, new, at);
		if (free == at)
			break;
		at = free;
	}
	return at;
}

/* A run of freed clusters, but for what held tables: the next transaction's go there. */
static int emit_freed_run(struct writer *w, uint64_t first, uint64_t end, struct qc_err *err)
{
	const struct qc_geometry *g = w->txn->geometry;
	const struct qc_bitset *tables = &w->txn->space.tables;
	int status = 0;

	while (status == 0 && first < end && w->records < w->txn->journal_records_max) {
		uint64_t run_end = first < tables->bits ? qc_min(qc_bitset_next(tables, first), end)
							: end;

		if (run_end > first)
			status = emit(w,
				      &(struct qc_journal_record){
					      .kind = QC_JOURNAL_FREED,
					      .old_host = qc_host_of_cluster(g, first),
					      .length = (run_end - first) * g->cluster_bytes,
				      },
				      err);
		first = run_end < end ? qc_min(qc_bitset_next_absent(tables, run_end), end) : end;
	}
	return status;
}

/* The runs of clusters that had references in the old block and have none in the new one. */
static int emit_freed_in_block(struct writer *w, const struct qc_block *block, const uint8_t *old,
			       struct qc_err *err)
{
	const struct qc_geometry *g = w->txn->geometry;
	uint64_t first_cluster = block->index * g->refcounts_per_block;
	uint64_t at, end;
	int status = 0;

	for (at = next_freed(g, old, block->bytes, 0); status == 0 && at < g->refcounts_per_block;
	     at = next_freed(g, old, block->bytes, end)) {
		end = qc_min(qc_refcount_next_free(g, old, at),
			     qc_refcount_next_used(g, block->bytes, at));
		if (qc_refcount_next_shared(g, old, at) < end)
			w->shared_freed = true;
		status = emit_freed_run(w, first_cluster + at, first_cluster + end, err);
	}
	return status;
}

static int emit_freed(struct writer *w, struct qc_err *err)
{
	struct qc_refs *refs = &w->txn->refs;
	size_t bytes = (size_t)w->txn->geometry->cluster_bytes;
	QC_AUTOFREE struct qc_block **list = NULL;
	QC_AUTOFREE uint8_t *old = malloc(bytes);
	struct qc_block *block;
	int status;

	if (!old)
		return qc_fail_memory(err);
	/* Where there was no room for the proof a count of 0 gives nothing back. */
	if (!qc_space_is_proven(&w->txn->space))
		return 0;
	if ((status = qc_stage_list(&refs->blocks, &list, err)) < 0)
		return status;
	for (size_t i = 0; i < refs->blocks.changed; i++) {
		if (qc_host_is_none(list[i]->old_host))
			continue;
		status = qc_file_read(refs->file, list[i]->old_host.byte, old, bytes, err);
		if (status == 0)
			status = qc_stage_get(&refs->blocks, list[i]->index, list[i]->old_host,
					      &block, err);
		if (status == 0)
			status = emit_freed_in_block(w, block, old, err);
		if (status < 0)
			return status;
	}
	return 0;
}

static int emit_all(struct writer *w, struct qc_err *err)
{
	int status;

	if ((status = emit_redo(w, err)) < 0 || (status = emit_tables(w, err)) < 0
	    || (status = emit_blocks(w, QC_JOURNAL_L2, &w->txn->l2, err)) < 0
	    || (w->txn->forest
		&& (status = emit_blocks(w, QC_JOURNAL_L2, &w->txn->forest->tables, err)) < 0)
	    || (w->txn->marks.changed
		&& (status = emit_blocks(w, QC_JOURNAL_BITMAP_DATA, &w->txn->marks.blocks, err))
			   < 0)
	    || (status = emit_blocks(w, QC_JOURNAL_REFCOUNT_BLOCK, &w->txn->refs.blocks, err)) < 0)
		return status;
	status = emit_freed(w, err);
	return status < 0 ? status : emit_redo_space(w, err);
}

/* Where a segment of that many bytes, trailer included, starts so that it ends with the file. */
static int find_place(struct qc_txn *txn, uint64_t total, uint64_t *ret, struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	struct qc_file *file = txn->image->file;
	uint64_t used = txn->space.next << g->cluster_bits;

	if (!file->fixed_length) {
		*ret = qc_align_up(qc_max(file->bytes, used), QC_SECTOR_BYTES);
		/* Only in a repair does anything refer to what is far beyond the file. */
		if (txn->options.repair
		    && !qc_range_fits(*ret, total, txn->space.limit << g->cluster_bits))
			return qc_fail(err, QC_E_NO_SPACE,
				       "no room for the journal behind the end of the file");
		return 0;
	}
	if (file->bytes < total || qc_align_down(file->bytes - total, QC_SECTOR_BYTES) < used)
		return qc_fail(err, QC_E_NO_SPACE,
			       "no room for the journal at the end of the device");
	*ret = qc_align_down(file->bytes - total, QC_SECTOR_BYTES);
	return 0;
}

static int write_segment(struct writer *w, struct qc_journal *journal, struct qc_err *err)
{
	static const uint8_t zeroes[QC_SECTOR_BYTES];
	struct qc_disk_journal_head head;
	struct qc_disk_journal_trailer trailer;
	uint64_t padding;
	int status;

	w->at = journal->offset;
	qc_journal_head_encode(&journal->head, &head);
	if ((status = write_bytes(w, &head, sizeof(head), err)) < 0
	    || (status = emit_all(w, err)) < 0 || (status = flush_records(w, err)) < 0)
		return status;
	qc_journal_trailer_encode(
		&(struct qc_journal_trailer){
			.segment_offset = journal->offset,
			.segment_bytes = journal->bytes,
			.segment_digest = XXH64_digest(w->digest),
		},
		&trailer);
	padding = qc_align_up(w->at, QC_SECTOR_BYTES) - w->at;
	if (padding && (status = write_bytes(w, zeroes, (size_t)padding, err)) < 0)
		return status;
	return write_bytes(w, &trailer, sizeof(trailer), err);
}

static int write_with(struct writer *w, const uint8_t *after, uint64_t file_bytes_after,
		      struct qc_journal *ret, struct qc_err *err)
{
	struct qc_txn *txn = w->txn;
	struct qc_journal journal = {
		.head =
			{
				.cluster_bits = txn->geometry->cluster_bits,
				.file_bytes_before = txn->file_bytes_before,
				.file_bytes_after = file_bytes_after,
			},
	};
	uint64_t total;
	int status;

	memcpy(journal.head.before, txn->image->sector0, QC_SECTOR_BYTES);
	memcpy(journal.head.after, after, QC_SECTOR_BYTES);
	w->counting = true;
	if ((status = emit_all(w, err)) < 0)
		return status;
	/* Nobody believes a longer one, and what has to be redone cannot do without. */
	if (w->records > txn->journal_records_max && qc_external_has_redo(txn))
		return qc_fail(
			err, QC_E_UNSUPPORTED,
			"more changes of the data file than one transaction can finish after a "
			"crash; make them in parts");
	journal.head.records = w->records;
	journal.bytes = HEAD_BYTES + w->records * RECORD_BYTES;
	total = qc_align_up(journal.bytes, QC_SECTOR_BYTES) + QC_SECTOR_BYTES;
	if ((status = find_place(txn, total, &journal.offset, err)) < 0)
		return status;
	w->counting = false;
	w->records = 0;
	XXH64_reset(w->digest, 0);
	if ((status = write_segment(w, &journal, err)) < 0)
		return status;
	*ret = journal;
	return 0;
}

int qc_journal_write(struct qc_txn *txn, const uint8_t *after, uint64_t file_bytes_after,
		     struct qc_journal *ret, bool *ret_shared_freed, struct qc_err *err)
{
	struct writer w = {.txn = txn};
	int status;

	w.buffer = malloc(BUFFER_RECORDS * RECORD_BYTES);
	w.digest = XXH64_createState();
	if (w.buffer && w.digest)
		status = write_with(&w, after, file_bytes_after, ret, err);
	else
		status = qc_fail_memory(err);
	XXH64_freeState(w.digest);
	free(w.buffer);
	if (status < 0)
		return qc_err_context(err, "journal");
	*ret_shared_freed = w.shared_freed;
	return 0;
}
