// SPDX-License-Identifier: MIT
/*
 * Files and block devices of the system. The only place with open, pread, pwrite, fsync and their
 * like. Nothing else than regular files and block devices is opened, so that a name from a stranger
 * cannot make us wait on a pipe or read a device with side effects.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "io/file.h"

enum qc_lock {
	QC_LOCK_NONE,  /* no locks at all: files that are no images */
	QC_LOCK_FORCE, /* -U: say that we read, refuse nobody */
	QC_LOCK_READ,  /* refuse to run beside a writer, and keep writers out */
	QC_LOCK_WRITE, /* alone: refuse every other user, and keep all of them out */
};

struct qc_file_open {
	bool writable;
	enum qc_lock lock;
	bool no_sync;	/* sync calls succeed without doing anything */
	bool no_header; /* guest bytes alone: no write to it has to be one call */
};

/* Identity of an open file, to find loops in chains. */
struct qc_file_identity {
	uint64_t device;
	uint64_t inode;
};

/*
 * Opens an existing file. QC_E_LOCKED if another process, or another open file of this one, holds
 * it in a way that conflicts; QC_E_UNSUPPORTED if a writer finds no locks on the file system.
 */
int qc_file_posix_open(const char *path, const struct qc_file_open *how, struct qc_file **ret,
		       struct qc_err *err);

/*
 * A new, empty, writable file without a name in the folder of `path`, and the call that gives it
 * that name once it is complete and synced (replacing an old file only if `replace`). Closing it
 * without that leaves nothing behind. Publish takes the same path; the folder is the one that was
 * opened by create, and only a regular file is replaced: QC_E_EXISTS for a link, a device, ...
 */
int qc_file_posix_create(const char *path, bool no_sync, struct qc_file **ret, struct qc_err *err);
int qc_file_posix_publish(struct qc_file *file, const char *path, bool replace, struct qc_err *err);

/* Takes the name away again from a file that was published as a new one, where that goes well. */
void qc_file_posix_unpublish(struct qc_file *file, const char *path);

/* A new, empty, writable file that nobody else sees and that is gone when closed; for spooling. */
int qc_file_posix_temporary(struct qc_file **ret, struct qc_err *err);

/* Has the file system set aside the space of a range that is inside the file. */
int qc_file_posix_reserve(struct qc_file *file, uint64_t offset, uint64_t length,
			  struct qc_err *err);

/* Lets this process have as many files open at once as the system allows it. */
void qc_file_posix_allow_many(void);

/* Identity of a file that this backend opened; false for other backends. */
bool qc_file_posix_identity(const struct qc_file *file, struct qc_file_identity *ret);

/* Bytes that the file occupies on its storage (st_blocks); false for other backends. */
bool qc_file_posix_occupied(const struct qc_file *file, uint64_t *ret_bytes);
