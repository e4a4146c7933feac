// SPDX-License-Identifier: MIT
/* One guest cluster's entry: found, judged, replaced, and what it referred to dropped. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "format/l2_entry.h"
#include "txn/stage_map.h"

struct qc_txn;

/* One cluster on its way: where its entry is, and what it said before. */
struct qc_put_job {
	struct qc_txn *txn;
	struct qc_guest base;
	struct qc_block *table; /* the L2 table; NULL: there is none */
	uint64_t index;		/* of the entry in it */
	struct qc_l2_entry old;
	bool own;	/* what it refers to was given to this transaction, which may write to it */
	uint64_t limit; /* bytes of the cluster that lie on the disk */
};

/* Looks up the entry of the cluster at job->base. The caller fills txn and base; may be done again. */
int qc_put_job_load(struct qc_put_job *job, struct qc_err *err);

/* Puts a new entry in place of the old one; `drop` if it no longer refers to the old one's cluster. */
int qc_put_job_store(struct qc_put_job *job, const struct qc_l2_entry *entry, bool drop,
		     struct qc_err *err);
