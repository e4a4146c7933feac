// SPDX-License-Identifier: MIT
/*
 * The sector 0 of the state to come: the one that was loaded, with those fields changed that the
 * transaction changes. Everything that a commit changes lies within these 512 bytes (I5), and what
 * we do not know in them stays as it is (I8).
 *
 * A backing file's name and format stand behind the header's fields, where other writers leave no
 * order that would help us. So they are laid out anew: extensions that change come first, all others
 * follow byte for byte, then the name. The feature name table, which nothing needs, goes if room is
 * short. A name that still does not fit is written to where the committed header refers to nothing,
 * before the commit, which then switches to it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "format/header.h"
#include "format/header_extensions.h"
#include "format/limits.h"

/*
 * Autoclear bits that are not known are cleared: this writer does not keep up what they vouch for.
 * `before` and `ret` may be the same.
 */
void qc_stage_header(const struct qc_header *header, const uint8_t before[QC_SECTOR_BYTES],
		     uint8_t ret[QC_SECTOR_BYTES]);

struct qc_header_layout {
	uint8_t sector[QC_SECTOR_BYTES]; /* sector 0; the header's fields are as they were */
	struct qc_host name;		 /* where the name is in cluster 0; none: no backing file */
	uint32_t name_bytes;
	bool name_apart; /* not in `sector`: it must be in cluster 0 before the commit's barrier */
};

struct qc_txn;

/*
 * Sees to it that the bitmaps extension lies in the sector 0 to come, which is laid out anew if it
 * does not. QC_E_NO_SPACE if there is no room.
 */
int qc_stage_header_bitmaps(struct qc_txn *txn, struct qc_err *err);

/* Points that extension, which must be in the sector, to a directory. */
void qc_stage_header_lead_to_bitmaps(uint32_t header_bytes, struct qc_host directory,
				     uint64_t directory_bytes, uint8_t sector[QC_SECTOR_BYTES]);

/*
 * Lays out sector 0 for another backing file. `cluster0` is the committed cluster 0, `header` and
 * `extensions` are what it says. `name` NULL: none; `format` NULL: not recorded. Fails with
 * QC_E_ARGUMENT if the name is too long, and with QC_E_NO_SPACE if there is no room.
 */
int qc_stage_header_layout(const struct qc_header *header, const struct qc_extensions *extensions,
			   const uint8_t *cluster0, const char *name, const char *format,
			   struct qc_header_layout *ret, struct qc_err *err);
