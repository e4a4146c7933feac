// SPDX-License-Identifier: MIT
/*
 * What the clusters of an image's file are for, in a bounded number of cells, and where in the file
 * the parts of the disk lie. The check's walk says who owns what, so a picture of it tells as much
 * as a check does.
 *
 * Memory: two bits a cluster of the file, and what the check takes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bitset.h"
#include "base/err.h"
#include "base/progress.h"
#include "check/check.h"
#include "format/geometry.h"
#include "io/file.h"

#define QC_SURVEY_CELLS_MAX 4096u
#define QC_SURVEY_COLUMNS 384u /* of the plot of guest against host */
#define QC_SURVEY_ROWS 64u

enum qc_survey_kind {
	/* Up to here as enum qc_claim_kind has them. */
	QC_SURVEY_LEAKED = QC_CLAIM_BITMAPS + 1, /* counted, and nothing refers to them */
	QC_SURVEY_FREE,
	QC_SURVEY_KINDS, /* not a kind */
};

struct qc_survey_cell {
	uint64_t clusters[QC_SURVEY_KINDS];
};

struct qc_survey {
	uint64_t clusters; /* of the file */
	uint64_t clusters_per_cell;
	uint32_t cells; /* the last one may stand for fewer clusters */
	struct qc_survey_cell *cell;
	struct qc_survey_cell total;
	uint64_t guest_clusters;
	struct qc_bitset plot; /* member row * COLUMNS + column; row 0 is the start of the file */
	struct qc_check_result check;
};

/*
 * Looks through the image in `file`, of that geometry and disk size. Fails for what cannot be walked
 * to the end, QC_E_FORMAT with what is wrong. Release with qc_survey_clear().
 */
int qc_survey_make(struct qc_file *file, const struct qc_geometry *g, uint64_t disk_bytes,
		   struct qc_progress *progress, struct qc_survey *ret, struct qc_err *err);
void qc_survey_clear(struct qc_survey *survey);
