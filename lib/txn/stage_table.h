// SPDX-License-Identifier: MIT
/*
 * Tables that are copied as a whole: the active L1 table, snapshots', the snapshot table. Each
 * gets consecutive clusters of its own; the committed one's lose their reference.
 */
#pragma once

#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "format/journal_record.h"

struct qc_txn;

struct qc_staged_table {
	enum qc_journal_kind kind;
	uint64_t index;		 /* an L1 table's: 0 the active one, else a snapshot's, from 1 */
	struct qc_host old_host; /* none: there was none */
	struct qc_host new_host; /* none: there is none any more */
	uint64_t bytes;		 /* of content; clusters are filled up with zeroes */
	uint64_t digest;	 /* XXH64 of the content, once written */
};

/*
 * Adds a table of `bytes` (0: it goes away) that replaces `old_bytes` at `old_host`, and places it.
 * *ret is in txn->tables, and good until the next one is added.
 */
int qc_staged_table_add(struct qc_txn *txn, enum qc_journal_kind kind, uint64_t index,
			struct qc_host old_host, uint64_t old_bytes, uint64_t bytes,
			struct qc_staged_table **ret, struct qc_err *err);

/* The table of that kind and index, NULL if it was not added. */
struct qc_staged_table *qc_staged_table_find(struct qc_txn *txn, enum qc_journal_kind kind,
					     uint64_t index);

/* Writes the content, which is filled up with zeroes to whole clusters, and takes its digest. */
int qc_staged_table_write(struct qc_txn *txn, struct qc_staged_table *table, const uint8_t *content,
			  struct qc_err *err);

/*
 * The same for a table of 8-byte entries, of which the bits of `keep` are written. It goes piece by
 * piece: an L1 table may have 32 MiB, and a second one in memory would be the largest thing there.
 */
int qc_staged_table_write_entries(struct qc_txn *txn, struct qc_staged_table *table,
				  const uint64_t *entries, uint64_t keep, struct qc_err *err);
