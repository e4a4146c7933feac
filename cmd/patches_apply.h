// SPDX-License-Identifier: MIT
/* Carries patches out in a transaction: first what is expected, then the sources in their order. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/progress.h"
#include "cmd/patches.h"
#include "txn/txn.h"

/* `grow`: the disk may become longer to hold them. `progress`: NULL or bytes that are copied. */
int patches_apply(struct qc_txn *txn, const struct patches *patches, bool grow,
		  struct qc_progress *progress, struct qc_err *err);
