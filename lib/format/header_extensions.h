// SPDX-License-Identifier: MIT
/*
 * The extensions between the header and the backing file name. Specification, "Header extensions".
 * Known ones are decoded; all are kept in order with their payload, so that what we do not know
 * survives a rewrite byte for byte.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "format/disk_layout.h"
#include "format/finding.h"
#include "format/header.h"
#include "format/limits.h"

struct qc_extension {
	uint32_t type;
	uint32_t bytes;	 /* of payload */
	uint32_t offset; /* of the payload in cluster 0 */
};

struct qc_extensions {
	struct qc_extension
		*list; /* all of them, in the order of the file, the end mark left out */
	size_t count;
	uint32_t end_offset; /* where the area ends in cluster 0, the end mark included */

	char backing_format[QC_BACKING_FORMAT_BYTES_MAX + 1]; /* "" if not recorded */

	bool has_bitmaps; /* and the autoclear bit vouches for them */
	uint32_t bitmaps;
	struct qc_host bitmap_directory;
	uint64_t bitmap_directory_bytes;

	bool has_crypto;
	struct qc_host crypto_header;
	uint64_t crypto_header_bytes;

	bool has_data_file;
	uint32_t data_file_offset; /* of the name in cluster 0 */
	uint32_t data_file_bytes;

	bool has_feature_names;
	uint32_t feature_names_offset;
	uint32_t feature_names_bytes;
};

/*
 * Reads the extensions of cluster 0, of which the first `length` bytes are given (at most a
 * cluster; bytes that the file does not have count as an early end). What is malformed is reported
 * and left out. Fails only for lack of memory. Release with qc_extensions_clear().
 */
int qc_extensions_decode(const struct qc_header *header, const uint8_t *cluster0, size_t length,
			 const struct qc_finding_sink *to, struct qc_extensions *ret,
			 struct qc_err *err);
void qc_extensions_clear(struct qc_extensions *extensions); /* harmless on a zeroed struct */

/*
 * Appends one extension at *offset of cluster 0 and moves *offset behind its padding; false, with
 * nothing written, if it would pass `limit`. The end mark is type QC_EXTENSION_END with 0 bytes.
 */
bool qc_extension_encode(uint32_t type, const void *payload, uint32_t bytes, uint8_t *cluster0,
			 uint32_t limit, uint32_t *offset);

/*
 * The name that the feature name table in cluster 0 gives to a bit of kind 0 incompatible,
 * 1 compatible, 2 autoclear; "" if it has none. Bytes that do not print become '?'.
 */
void qc_feature_name(const struct qc_extensions *extensions, const uint8_t *cluster0, uint8_t kind,
		     uint8_t bit, char ret[47]);
