// SPDX-License-Identifier: MIT
/* Bytes of the disk into a file of the system. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/progress.h"
#include "cmd/common_options.h"
#include "cmd/opened_view.h"

/*
 * Copies [at, at + length), which the disk has, to `path`. The file is sparse where the disk reads
 * as zeroes. It appears, or replaces an old regular file, when it is complete. Refuses to replace a
 * file that belongs to the image's own chain, and anything that is no regular file. Locks the process
 * down before a guest byte is read.
 */
int read_to_file(const struct opened_view *opened, uint64_t at, uint64_t length, const char *path,
		 struct qc_progress *progress, const struct common_options *common,
		 struct qc_err *err);
