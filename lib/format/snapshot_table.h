// SPDX-License-Identifier: MIT
/*
 * The snapshot table: the list of internal snapshots. Specification, "Snapshots". Entries have no
 * fixed length, so the table is read and written as one stretch of bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "format/finding.h"
#include "format/geometry.h"

struct qc_snapshot {
	struct qc_host l1;
	uint32_t l1_entries;
	char *id;   /* id_bytes bytes and a zero; may hold anything, a zero included */
	char *name; /* likewise */
	uint16_t id_bytes;
	uint16_t name_bytes;
	uint32_t date_sec;
	uint32_t date_nsec;
	uint64_t vm_clock_nsec;
	uint64_t vm_state_bytes; /* of both fields, the wider where there is one */
	bool has_disk_bytes; /* absent in some version 2 images: the disk's current size counts */
	uint64_t disk_bytes;
	bool has_icount;
	uint64_t icount;
	uint8_t *extra; /* the extra data as stored, extra_bytes long; kept byte for byte */
	uint32_t extra_bytes;
};

struct qc_snapshots {
	struct qc_snapshot *list;
	size_t count;
	uint64_t table_bytes; /* what the table occupies, padding included */
};

/*
 * Decodes `count` entries (at most QC_SNAPSHOTS_MAX) from a table of which `length` bytes are at
 * hand. If the table goes on beyond them, returns 0 with an empty *ret and *ret_needed set to more
 * than `length` (but at most QC_SNAPSHOT_TABLE_BYTES_MAX), nothing being reported yet: read at least
 * that many bytes and call again; doubling, as far as the file goes, keeps the calls few. Otherwise
 * *ret_needed is at most `length`. Malformed entries are reported; a table or extra data beyond
 * format/limits.h fails with QC_E_FORMAT. Release with qc_snapshots_clear().
 */
int qc_snapshots_decode(const struct qc_geometry *g, const uint8_t *bytes, size_t length,
			uint32_t count, const struct qc_finding_sink *to, struct qc_snapshots *ret,
			uint64_t *ret_needed, struct qc_err *err);

/*
 * The length of the encoded table, and its bytes; `to` holds that many. The extra data is the stored
 * one with the decoded fields written over it, made longer where has_disk_bytes or has_icount (or a
 * VM state of 4 GiB and more) need it, so a new snapshot can leave `extra` empty.
 */
uint64_t qc_snapshots_encoded_bytes(const struct qc_snapshots *snapshots);
void qc_snapshots_encode(const struct qc_snapshots *snapshots, uint8_t *to);

void qc_snapshots_clear(struct qc_snapshots *snapshots); /* harmless on a zeroed struct */
