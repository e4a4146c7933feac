// SPDX-License-Identifier: MIT
/* Makes a new image. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/progress.h"
#include "format/features.h"
#include "io/file.h"

enum qc_preallocation {
	QC_PREALLOCATION_OFF,
	QC_PREALLOCATION_METADATA, /* tables complete, data a hole of the file */
	QC_PREALLOCATION_FALLOC,   /* and the file system has set the space aside */
	QC_PREALLOCATION_FULL,	   /* and it has been written */
};

struct qc_create {
	uint32_t version; /* 2 or 3 */
	uint32_t cluster_bits;
	uint32_t refcount_order;
	enum qc_compression compression;
	bool extended_l2;
	bool lazy_refcounts;
	enum qc_preallocation preallocation;
	uint64_t disk_bytes;
	const char *backing_name; /* NULL: none */
	const char *backing_format;
	const char *data_file_name; /* NULL: guest clusters lie in the image */
	bool data_file_raw; /* the data file is a raw image; needs at least its metadata preallocated */
	struct qc_progress *progress; /* NULL or: bytes of data, where all of it is written */
};

/* Whether such an image can be: QC_E_ARGUMENT, with the reason, if it cannot. */
int qc_create_check(const struct qc_create *how, struct qc_err *err);

/* Makes an empty file the data file of such an image, as long as the disk. Does not sync. */
int qc_create_write_data(const struct qc_create *how, struct qc_file *file, struct qc_err *err);

/* Writes the image, which has passed the check, into an empty file. Does not sync. */
int qc_create_write(const struct qc_create *how, struct qc_file *file, struct qc_err *err);
