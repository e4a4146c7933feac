// SPDX-License-Identifier: MIT
/* Bytes of the disk into a file of the system. */
#pragma once

#include "base/err.h"
#include "cmd/common_options.h"
#include "cmd/opened_view.h"
#include "ops/copy.h"

/*
 * Copies part of the opened view to `path`. The file is sparse where the disk reads
 * as zeroes. It appears, or replaces an old regular file, when it is complete. Refuses to replace a
 * file that belongs to the image's own chain, and anything that is no regular file. Locks the process
 * down before a guest byte is read.
 */
int read_to_file(const struct opened_view *opened, const struct qc_copy *copy, const char *path,
		 const struct common_options *common, struct qc_err *err);
