// SPDX-License-Identifier: MIT
/*
 * Errors: what went wrong, in one line that a person can act on.
 *
 * Calling sequence
 *	struct qc_err err;
 *	if (qc_image_open(&image, ..., &err) < 0)
 *		... err.text is a line such as "backing file 'base.img': No such file or directory"
 *
 * A function that can fail takes a `struct qc_err *` as its last parameter, never NULL, returns 0
 * or the negated code, and leaves its ret_ parameters untouched on failure. It raises once, with
 * qc_fail() or qc_fail_errno(); callers that know more put their words in front with
 * qc_err_context(). The struct belongs to the caller, is written on failure only and holds no heap.
 */
#pragma once

#include <stdarg.h>

enum qc_code {
	QC_E_IO = 1,	      /* the storage refused or failed a read, write, resize or sync */
	QC_E_NO_SPACE,	      /* disk full, quota, file size limit, or no free cluster can exist */
	QC_E_NO_MEMORY,	      /* allocation failed */
	QC_E_ARGUMENT,	      /* the caller asked for something that makes no sense */
	QC_E_RANGE,	      /* past the end of the disk */
	QC_E_NOT_FOUND,	      /* no such file, snapshot, ... */
	QC_E_EXISTS,	      /* would overwrite something */
	QC_E_LOCKED,	      /* another process holds the image */
	QC_E_FORMAT,	      /* not a qcow2 image, or one whose metadata cannot be trusted */
	QC_E_UNSUPPORTED,     /* valid, but this program does not do it */
	QC_E_POLICY,	      /* refused by --chain or the rules for references in images */
	QC_E_MISMATCH,	      /* --expect did not match */
	QC_E_INTERRUPTED,     /* the user asked to stop */
	QC_E_CHANGED,	      /* somebody else changed the image under us */
	QC_E_OUTCOME_UNKNOWN, /* the sync after the commit's one write failed */
};

struct qc_err {
	enum qc_code code;
	int os_errno; /* errno behind the failure, 0 if there was none */
	char text[1024];
};

/* Raises: fills *err with code and the formatted line (no newline), and returns -code. */
int qc_fail(struct qc_err *err, enum qc_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Raises with the system's words for errnum appended: "format...: No space left on device". The
 * code follows from errnum: ENOSPC, EDQUOT and EFBIG are QC_E_NO_SPACE, ENOMEM is QC_E_NO_MEMORY,
 * ENOENT is QC_E_NOT_FOUND, EEXIST is QC_E_EXISTS, anything else QC_E_IO.
 */
int qc_fail_errno(struct qc_err *err, int errnum, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Makes of the failure of a last sync, on which it depends whether what was done stays, an error of
 * its own: QC_E_OUTCOME_UNKNOWN, with the same words everywhere.
 */
int qc_err_outcome_unknown(struct qc_err *err);

/* "out of memory", the same words everywhere. */
int qc_fail_memory(struct qc_err *err);

/* Puts "words: " in front of the text of an error that was raised below; returns -err->code. */
int qc_err_context(struct qc_err *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
