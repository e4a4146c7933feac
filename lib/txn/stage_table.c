// SPDX-License-Identifier: MIT
#include "txn/stage_table.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/checked.h"
#include "txn/txn_state.h"

static int make_room(struct qc_txn *txn, struct qc_err *err)
{
	size_t room = txn->table_room ? txn->table_room * 2 : 4;
	struct qc_staged_table *grown;

	if (txn->table_count < txn->table_room)
		return 0;
	grown = reallocarray(txn->tables, room, sizeof(*grown));
	if (!grown)
		return qc_fail_memory(err);
	txn->tables = grown;
	txn->table_room = room;
	return 0;
}

int qc_staged_table_add(struct qc_txn *txn, enum qc_journal_kind kind, uint64_t index,
			struct qc_host old_host, uint64_t old_bytes, uint64_t bytes,
			struct qc_staged_table **ret, struct qc_err *err)
{
	const struct qc_geometry *g = txn->geometry;
	struct qc_staged_table *table;
	int status = make_room(txn, err);

	if (status < 0)
		return status;
	table = &txn->tables[txn->table_count];
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
