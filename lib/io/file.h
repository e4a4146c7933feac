// SPDX-License-Identifier: MIT
/*
 * A file as the library sees it: random access to bytes, a length, and barriers. Everything above
 * works on `struct qc_file`, so that images can live on disk (file_posix.h), in memory (file_mem.h)
 * or partly in both (file_overlay.h), and tests can watch, cut and break every single call.
 *
 * Calling sequence
 *	struct qc_file *file;
 *	if (qc_file_posix_open("disk.qcow2", flags, &file, &err) < 0) ...
 *	qc_file_read(file, offset, buffer, length, &err);
 *	qc_file_close(file);
 *
 * All transfers are whole: a call returns 0 after every byte has been transferred, or an error.
 * Several threads may read at a time, and with files of the system also write, inside of what the file
 * has. Interrupted calls go on, short ones are continued. Reading past the end gives zeroes, as the
 * specification wants it. Argument order is (file, offset, buffer, length) everywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct qc_file;

enum qc_sync {
	QC_SYNC_DATA, /* contents, and whatever is needed to read them back */
	QC_SYNC_FULL, /* everything, the length included */
};

struct qc_file_ops {
	int (*read)(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
		    struct qc_err *err);
	int (*write)(struct qc_file *file, uint64_t offset, const void *buffer, size_t length,
		     struct qc_err *err);
	int (*resize)(struct qc_file *file, uint64_t bytes, struct qc_err *err);
	int (*punch)(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err);
	int (*sync)(struct qc_file *file, enum qc_sync kind, struct qc_err *err);
	int (*extent)(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
		      uint64_t *ret_length, struct qc_err *err);
	void (*close)(struct qc_file *file);
};

/* The part that every backend starts with. */
struct qc_file {
	const struct qc_file_ops *ops;
	uint64_t bytes;	   /* the current length; backends keep it up to date */
	bool fixed_length; /* a block device: resize fails */
	bool writable;
};

/* Reads length bytes at offset; what lies past the end of the file is zero. */
int qc_file_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
		 struct qc_err *err);

/* Up to this length, to ask qc_file_extent() whether there is a hole costs as much as to read. */
#define QC_FILE_WORTH_ASKING_BYTES ((size_t)64 << 10)

/*
 * Reads into a buffer of zeroes, of which nothing is touched where the file has a large hole: so a table
 * costs no more memory than it holds bytes, whatever length it claims.
 */
int qc_file_read_sparse(struct qc_file *file, uint64_t offset, void *zeroes, size_t length,
			struct qc_err *err);

/* Writes length bytes at offset, beyond the end too (a gap reads as zeroes). */
int qc_file_write(struct qc_file *file, uint64_t offset, const void *buffer, size_t length,
		  struct qc_err *err);

/* Makes the file that long; new bytes read as zeroes. */
int qc_file_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err);

/*
 * Makes the range read as zeroes and gives its space back where the storage can; where it cannot,
 * zeroes are written. Never changes the length; the part past the end is ignored.
 */
int qc_file_punch(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err);

/* A barrier: returns after all that was written so far is on stable storage. */
int qc_file_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err);

/*
 * What is at offset: *ret_data tells bytes from a hole that reads as zeroes, *ret_length (1 ..
 * length) how far that is so. Everything past the end is a hole. A backend that cannot tell says data.
 */
int qc_file_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
		   uint64_t *ret_length, struct qc_err *err);

void qc_file_close(struct qc_file *file); /* NULL is fine */
