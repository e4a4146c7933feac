// SPDX-License-Identifier: MIT
/* What the library reads from an image, beside a model of it. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "image/chain.h"

struct view_difference {
	enum {
		VIEW_SAME,
		VIEW_OTHER_SIZE,
		VIEW_OTHER_BYTES
	} kind;
	uint64_t at; /* of the first byte that differs */
};

/*
 * Compares the disk (an empty name) or a snapshot of the layer with the raw file `model`, size
 * included. Where map and model both say that there is nothing, nothing is read.
 */
int view_compare(const struct qc_layer *layer, const char *snapshot, const char *model,
		 struct view_difference *ret, struct qc_err *err);
