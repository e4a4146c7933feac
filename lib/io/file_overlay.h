// SPDX-License-Identifier: MIT
/*
 * A file that shows another one with changes on top, without ever changing it: all that is written
 * goes to `upper`, all that was not is read from `lower`. Dry runs and tests edit through it.
 */
#pragma once

#include "io/file.h"

/*
 * The view starts as long as `lower`. `lower` is borrowed and must outlive the view; `upper` (an
 * empty writable file: in memory, or a temporary one) is consumed, even on failure.
 */
int qc_file_overlay_open(struct qc_file *lower, struct qc_file *take_upper, struct qc_file **ret,
			 struct qc_err *err);
