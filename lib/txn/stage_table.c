// SPDX-License-Identifier: MIT
#include "txn/stage_table.h"

#include <assert.h>
#include <xxhash.h>

#include "base/checked.h"
#include "txn/txn_state.h"

int qc_staged_table_add(struct qc_txn *txn, enum qc_journal_kind kind, uint64_t index,
			struct qc_host old_host, uint64_t old_bytes, uint64_t bytes,
			struct qc_staged_table **ret, struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	struct qc_staged_table *table = &txn->tables[txn->table_count];
	int status = 0;

	assert(txn->table_count < QC_STAGED_TABLES_MAX);
	*table = (struct qc_staged_table){.kind = kind,
					  .index = index,
					  .old_host = old_host,
					  .bytes = bytes};
	if (bytes > 0)
		status = qc_txn_allocate(txn, qc_clusters_for(g, bytes), &table->new_host, err);
	if (status == 0 && old_bytes > 0)
		status = qc_refs_drop_table(&txn->refs, old_host, old_bytes, err);
	if (status < 0)
		return status;
	txn->table_count++;
	*ret = table;
	return 0;
}

struct qc_staged_table *qc_staged_table_find(struct qc_txn *txn, enum qc_journal_kind kind,
					     uint64_t index)
{
	for (size_t i = 0; i < txn->table_count; i++)
		if (txn->tables[i].kind == kind && txn->tables[i].index == index)
			return &txn->tables[i];
	return NULL;
}

int qc_staged_table_write(struct qc_txn *txn, struct qc_staged_table *table, const uint8_t *content,
			  struct qc_err *err)
{
	table->digest = XXH64(content, (size_t)table->bytes, 0);
	return qc_txn_put(txn, table->new_host, content,
			  (size_t)qc_align_up(table->bytes, txn->geometry->cluster_bytes), err);
}
