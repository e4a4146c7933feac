// SPDX-License-Identifier: MIT
/*
 * Where compressed clusters go: one behind the other, to the byte, in host clusters that this
 * transaction was given. Never into the rest of a host cluster that the committed state uses (I1),
 * even where bytes are left in it. Each extent counts a reference on every host cluster it touches.
 */
#pragma once

#include <stdint.h>

#include "base/address.h"
#include "base/err.h"

struct qc_txn;

struct qc_pack {
	uint64_t next; /* where the next extent can start; host bytes */
	uint64_t end;  /* where the host clusters that were taken end */
};

/* Finds a place for `bytes` (at most a cluster), references counted. */
int qc_pack_place(struct qc_txn *txn, uint64_t bytes, struct qc_host *ret, struct qc_err *err);
