// SPDX-License-Identifier: MIT
#include "txn/stage_table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "txn/txn_state.h"

#define PIECE_BYTES ((uint64_t)1 << 18)

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

static int write_pieces(struct qc_txn *txn, struct qc_staged_table *table, const uint64_t *entries,
			uint64_t keep, XXH64_state_t *digest, struct qc_err *err)
{
	uint64_t room = qc_align_up(table->bytes, txn->geometry->cluster_bytes);
	size_t piece = (size_t)qc_min(room, qc_max(PIECE_BYTES, txn->geometry->cluster_bytes));
	QC_AUTOFREE uint8_t *bytes = malloc(piece);
	int status = 0;

	if (!bytes)
		return qc_fail_memory(err);
	for (uint64_t done = 0; status == 0 && done < room; done += piece) {
		size_t now = (size_t)qc_min(piece, room - done);
		size_t content = (size_t)qc_min(now, table->bytes - done);
		const uint64_t *from = entries + done / sizeof(*entries);

		for (size_t i = 0; i < content / sizeof(*entries); i++)
			qc_store_be64(bytes + i * sizeof(*entries), from[i] & keep);
		memset(bytes + content, 0, now - content);
		XXH64_update(digest, bytes, content);
		status = qc_txn_put(txn, qc_host(table->new_host.byte + done), bytes, now, err);
	}
	return status;
}

int qc_staged_table_write_entries(struct qc_txn *txn, struct qc_staged_table *table,
				  const uint64_t *entries, uint64_t keep, struct qc_err *err)
{
	XXH64_state_t *digest = XXH64_createState();
	int status;

	if (!digest)
		return qc_fail_memory(err);
	XXH64_reset(digest, 0);
	status = write_pieces(txn, table, entries, keep, digest, err);
	table->digest = XXH64_digest(digest);
	XXH64_freeState(digest);
	return status;
}
