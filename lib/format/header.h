// SPDX-License-Identifier: MIT
/*
 * The header of an image, versions 2 and 3. Specification, "Header".
 *
 * Decoding tells three things apart: bytes that cannot be read as a header at all are an error;
 * values that are out of place are findings, and the decoded header still says what was stored;
 * everything else is valid. A strict caller treats every finding of severity corruption as a
 * refusal.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "format/disk_layout.h"
#include "format/features.h"
#include "format/finding.h"
#include "format/geometry.h"

struct qc_header {
	uint32_t version;
	uint32_t cluster_bits;
	uint64_t disk_bytes; /* virtual size; need not be a multiple of anything */
	uint32_t crypt_method;
	uint32_t l1_entries;
	struct qc_host l1;
	struct qc_host refcount_table;
	uint32_t refcount_table_clusters;
	uint32_t snapshots;
	struct qc_host snapshot_table;
	struct qc_host backing_name; /* none: no backing file */
	uint32_t backing_name_bytes;
	uint64_t incompatible; /* the feature words are 0 in version 2 */
	uint64_t compatible;
	uint64_t autoclear;
	uint32_t refcount_order; /* 4 in version 2 */
	uint32_t header_bytes;	 /* 72 in version 2; extensions start there */
	uint8_t compression;	 /* enum qc_compression */
};

/*
 * Reads a header from the first `length` bytes of a file (512 are always enough for the fields;
 * fewer only if the file is shorter). Findings go to `to`. Fails with QC_E_FORMAT for what is no
 * qcow2 header or has a cluster size or refcount width that does not exist, and with
 * QC_E_UNSUPPORTED for other versions.
 */
int qc_header_decode(const uint8_t *bytes, size_t length, const struct qc_finding_sink *to,
		     struct qc_header *ret, struct qc_err *err);

/*
 * Writes the header's fields over the first header_bytes (at most QC_HEADER_BYTES_V3) of `bytes`;
 * fields beyond those that this program knows stay as they are.
 */
void qc_header_encode(const struct qc_header *header, uint8_t *bytes);

/* The numbers that follow from a decoded header. */
void qc_header_geometry(const struct qc_header *header, struct qc_geometry *ret);
