// SPDX-License-Identifier: MIT
/*
 * Persistent dirty bitmaps. An enabled one says which parts of the disk changed since somebody began
 * to watch; a backup that trusts it loses whatever is missing there. So each range that a transaction
 * is told to change is marked in every enabled bitmap, by the same commit. As in QEMU it is the range
 * of the request that counts, not whether its bytes were other ones before.
 *
 * Left alone: disabled bitmaps, and those marked "in use", whose last user did not get to save them.
 *
 * Bitmap data, tables and the directory are shadowed like all other tables (I1); the header extension
 * that leads to them has to lie in sector 0 (I5), and is moved there if it does not.
 * Specification, "Bitmaps extension" and "Bitmaps".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "txn/stage_map.h"

struct qc_txn;

struct qc_marked_table {
	uint64_t *words; /* of the bitmap's table, in host byte order; NULL: not loaded */
	uint32_t entries;
	bool changed;
};

struct qc_marks {
	struct qc_stage blocks; /* of bitmap data, by number of the bitmap << 32 | table entry */
	struct qc_marked_table *tables; /* one for each bitmap of the image; NULL: not needed yet */
	uint64_t table_bytes;		/* of all that are loaded */
	bool changed;
	struct qc_host directory; /* of the new state, once settled */
};

void qc_marks_clear(struct qc_txn *txn);

/*
 * Guest bytes [at, at + length) are to change. QC_E_FORMAT if a bitmap makes no sense, QC_E_NO_SPACE
 * if sector 0 has no room for the extension, QC_E_UNSUPPORTED if the tables need too much memory.
 */
int qc_marks_set(struct qc_txn *txn, struct qc_guest at, uint64_t length, struct qc_err *err);

/*
 * The disk becomes longer: so does every bitmap, with nothing marked in the new part.
 * QC_E_UNSUPPORTED if one is in use or would become longer than QEMU allows.
 */
int qc_marks_grow(struct qc_txn *txn, uint64_t disk_bytes, struct qc_err *err);

/* The steps of a commit; nothing happens unless something was marked. */
int qc_marks_settle(struct qc_txn *txn, struct qc_err *err);
int qc_marks_write(struct qc_txn *txn, struct qc_err *err);
