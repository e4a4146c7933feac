// SPDX-License-Identifier: MIT
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A line stays a line, whatever bytes a file name or an image contributes to it. */
static void keep_one_line(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void set_text(struct qc_err *err, const char *format, va_list args)
{
	vsnprintf(err->text, sizeof(err->text), format, args);
	keep_one_line(err->text);
}

int qc_fail(struct qc_err *err, enum qc_code code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_text(err, format, args);
	va_end(args);
	err->code = code;
	err->os_errno = 0;
	return -(int)code;
}

static enum qc_code code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return QC_E_NO_SPACE;
	case ENOMEM:
		return QC_E_NO_MEMORY;
	case ENOENT:
		return QC_E_NOT_FOUND;
	case EEXIST:
		return QC_E_EXISTS;
	default:
		return QC_E_IO;
	}
}

int qc_fail_errno(struct qc_err *err, int errnum, const char *format, ...)
{
	va_list args;
	size_t used;

	va_start(args, format);
	set_text(err, format, args);
	va_end(args);
	used = strlen(err->text);
	errno = errnum; /* for %m; what strerror_r returns is not the same everywhere */
	snprintf(err->text + used, sizeof(err->text) - used, ": %m");
	err->code = code_of_errno(errnum);
	err->os_errno = errnum;
	return -(int)err->code;
}

int qc_fail_memory(struct qc_err *err)
{
	return qc_fail(err, QC_E_NO_MEMORY, "out of memory");
}

int qc_err_context(struct qc_err *err, const char *format, ...)
{
	char below[sizeof(err->text)];
	va_list args;
	size_t used;

	memcpy(below, err->text, sizeof(below));
	va_start(args, format);
	set_text(err, format, args);
	va_end(args);
	used = strlen(err->text);
	/* Truncation only ever costs the end of an overlong line. */
	if (used + 2 < sizeof(err->text)) {
		memcpy(err->text + used, ": ", 3);
		used += 2;
		strncat(err->text, below, sizeof(err->text) - used - 1);
	}
	return -(int)err->code;
}

int qc_err_outcome_unknown(struct qc_err *err)
{
	err->code = QC_E_OUTCOME_UNKNOWN;
	return qc_err_context(err, "the outcome of the commit is unknown; the image is exactly the "
				   "old or exactly the new one");
}
