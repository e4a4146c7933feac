// SPDX-License-Identifier: MIT
/* Internal snapshots show the backing chain where they hold nothing, so it is theirs as well. */
#pragma once

#include <signal.h>

#include "base/err.h"
#include "image/chain.h"

/*
 * QC_E_UNSUPPORTED, with their names, if snapshots of the image show something else through the new
 * chain than through the old one. `image` is the layer on top of both; `stop` as in qc_rebase_scan.
 */
int qc_rebase_check_snapshots(const struct qc_layer *image, const struct qc_layer *old,
			      const struct qc_layer *new, const volatile sig_atomic_t *stop,
			      struct qc_err *err);
