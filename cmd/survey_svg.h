// SPDX-License-Identifier: MIT
/* The picture of an image's file: a grid of cells with its legend, and where the disk's parts lie. */
#pragma once

#include <stdio.h>

#include "base/err.h"
#include "format/geometry.h"
#include "ops/survey.h"

struct survey_picture {
	const struct qc_survey *survey;
	const struct qc_geometry *geometry;
	const char *name; /* of the image; any bytes */
	uint64_t disk_bytes;
	uint64_t file_bytes;
};

/* Writes the picture as SVG, the same bytes for the same image. Whether `to` took it is yours to check. */
int survey_svg(const struct survey_picture *picture, FILE *to, struct qc_err *err);
