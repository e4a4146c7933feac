// SPDX-License-Identifier: MIT
#include "txn/txn_state.h"

#include <stdlib.h>

#include "base/checked.h"
#include "txn/forest_impl.h"
#include "txn/journal.h"

/* Memory for shadow tables; beyond it they are spilled to their places in the file. */
#define L2_BYTES_IN_MEMORY (UINT64_C(16) << 20)
#define REFCOUNT_BYTES_IN_MEMORY (UINT64_C(8) << 20)
#define BLOCKS_IN_MEMORY_MIN 4

static size_t blocks_in(const struct qc_geometry *g, uint64_t bytes)
{
	return (size_t)qc_max(bytes >> g->cluster_bits, BLOCKS_IN_MEMORY_MIN);
}

int qc_txn_place_table(void *context, struct qc_block *block, struct qc_err *err)
{
	struct qc_txn *txn = context;
	int status = qc_txn_allocate(txn, 1, &block->new_host, err);

	for (uint64_t i = 1; status == 0 && i < block->ways; i++)
		status = qc_refs_add(&txn->refs, qc_host_cluster(txn->geometry, block->new_host), 1,
				     err);
	return status;
}

int qc_txn_new(struct qc_image *image, const struct qc_layer *backing,
	       const struct qc_txn_options *options, struct qc_txn **ret, struct qc_err *err)
{
	struct qc_txn *txn;
	int status;

	txn = calloc(1, sizeof(*txn));
	if (!txn)
		return qc_fail_memory(err);
	txn->image = image;
	txn->backing = backing;
	txn->geometry = &image->geometry;
	txn->options = *options;
	txn->undo.lent = options->spool;
	txn->header = image->header;
	/* The bit must not be set without the extension; QEMU's own writes fail over it. */
	if (!image->extensions.has_bitmaps)
		txn->header.autoclear &= ~QC_AUTOCLEAR_BITMAPS;
	txn->file_bytes_before = image->file->bytes;
	txn->journal_records_max = QC_JOURNAL_RECORDS_MAX;
	txn->l2 = (struct qc_stage){
		.file = image->file,
		.block_bytes = (size_t)image->geometry.cluster_bytes,
		.room = blocks_in(&image->geometry, L2_BYTES_IN_MEMORY),
		.place = qc_txn_place_table,
		.place_context = txn,
		.write = qc_txn_put,
		.write_context = txn,
	};
	txn->cluster = malloc((size_t)image->geometry.cluster_bytes);
	status = txn->cluster ? qc_stage_init(&txn->l2, err) : qc_fail_memory(err);
	if (status == 0)
		status = qc_external_init(txn, err);
	if (status < 0) {
		qc_txn_free(txn);
		return status;
	}
	*ret = txn;
	return 0;
}

void qc_txn_free(struct qc_txn *txn)
{
	qc_forest_free(txn->forest);
	qc_stage_clear(&txn->l2);
	qc_refs_clear(&txn->refs);
	qc_space_clear(&txn->space);
	qc_undo_clear(&txn->undo);
	qc_marks_clear(txn);
	qc_external_clear(txn);
	free(txn->cluster);
	free(txn->tables);
	free(txn->relaid);
	free(txn);
}

int qc_txn_need_space(struct qc_txn *txn, struct qc_err *err)
{
	enum qc_space_proof proof = txn->options.repair		   ? QC_SPACE_UNION
				    : txn->options.trust_refcounts ? QC_SPACE_TRUST
								   : QC_SPACE_PROVE;
	int status;

	if (txn->space_known)
		return 0;
	status = qc_space_init(&txn->space, txn->image, proof, txn->options.stop, err);
	if (status == 0)
		status = qc_refs_init(&txn->refs, txn->image, &txn->space,
				      blocks_in(txn->geometry, REFCOUNT_BYTES_IN_MEMORY),
				      qc_txn_put, txn, err);
	txn->space_known = status == 0;
	return status;
}

int qc_txn_allocate(struct qc_txn *txn, uint64_t count, struct qc_host *ret, struct qc_err *err)
{
	uint64_t first;
	int status;

	if ((status = qc_txn_need_space(txn, err)) < 0
	    || (status = qc_space_take(&txn->space, count, &first, err)) < 0
	    || (status = qc_refs_add(&txn->refs, first, count, err)) < 0)
		return status;
	*ret = qc_host_of_cluster(txn->geometry, first);
	return 0;
}

int qc_txn_need_durable(struct qc_txn *txn, struct qc_err *err)
{
	int status;

	if (txn->durable)
		return 0;
	status = qc_file_sync(txn->image->file, QC_SYNC_FULL, err);
	txn->durable = status == 0;
	return status;
}

int qc_txn_put(void *context, struct qc_host at, const void *bytes, size_t length,
	       struct qc_err *err)
{
	struct qc_txn *txn = context;
	struct qc_file *file = txn->image->file;
	int status;

	if ((status = qc_txn_need_durable(txn, err)) < 0)
		return status;
	status = qc_undo_save(&txn->undo, file, txn->file_bytes_before, at.byte, length, err);
	return status < 0 ? status : qc_file_write(file, at.byte, bytes, length, err);
}

int qc_txn_require_writable(const struct qc_txn *txn, struct qc_err *err)
{
	if (txn->header.crypt_method != QC_CRYPT_NONE)
		return qc_fail(err, QC_E_UNSUPPORTED,
			       "the image is encrypted, and its contents cannot be changed");
	if (txn->geometry->external_data && !txn->external.file)
		return qc_fail(err, QC_E_UNSUPPORTED,
			       "its external data file is not open for writing");
	return 0;
}

int qc_txn_grow_l1(struct qc_txn *txn, uint64_t entries, struct qc_err *err)
{
	uint64_t *grown;

	if (entries <= txn->header.l1_entries)
		return 0;
	if (entries > QC_L1_BYTES_MAX / sizeof(uint64_t))
		return qc_fail(err, QC_E_ARGUMENT,
			       "the disk cannot become that long with clusters of this size");
	grown = realloc(txn->image->l1, (size_t)entries * sizeof(uint64_t));
	if (!grown)
		return qc_fail_memory(err);
	for (uint64_t i = txn->header.l1_entries; i < entries; i++)
		grown[i] = 0;
	txn->image->l1 = grown;
	txn->header.l1_entries = (uint32_t)entries;
	return 0;
}

int qc_txn_result(struct qc_txn *txn, int status)
{
	if (status < 0)
		txn->failed = true;
	return status;
}

int qc_txn_undo(struct qc_txn *txn, struct qc_err *err)
{
	struct qc_file *file = txn->image->file;
	struct qc_err later;
	int status = qc_external_undo(txn, err);
	int put_back = qc_undo_restore(&txn->undo, file, status < 0 ? &later : err);
	int cut = 0;

	if (status == 0)
		status = put_back;
	if (file->bytes != txn->file_bytes_before)
		cut = qc_file_resize(file, txn->file_bytes_before, status < 0 ? &later : err);
	return status < 0 ? status : cut;
}
