// SPDX-License-Identifier: MIT
/* What file_posix.c and file_posix_create.c share, and nobody else includes. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "io/file.h"

/* Long enough for the names that file_posix_create.c makes up. */
#define QC_FILE_POSIX_SCRATCH_NAME_BYTES 40

struct qc_file_posix {
	struct qc_file base;
	int fd;
	bool no_sync, no_header;
	int folder_fd; /* where the file will get its name; -1 for files that have one */
	char scratch_name[QC_FILE_POSIX_SCRATCH_NAME_BYTES]; /* goes when closed; "" for none */
};

/*
 * Wraps an open descriptor, whose length is read now. take_fd is consumed even on failure. The
 * result is neither locked nor to be published; the caller adds that.
 */
int qc_file_posix_wrap(int take_fd, bool writable, bool no_sync, struct qc_file_posix **ret,
		       struct qc_err *err);

/* The backend's part of a file, or NULL if another backend made it. */
struct qc_file_posix *qc_file_posix_of(const struct qc_file *file);
