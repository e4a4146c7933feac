// SPDX-License-Identifier: MIT
/* What the commands that look at guest bytes work on: an image with its chain, or a snapshot of it. */
#pragma once

#include "base/err.h"
#include "cmd/common_options.h"
#include "image/chain.h"
#include "image/map.h"

struct opened_view {
	struct qc_layer *chain;
	struct qc_view view;
};

/*
 * Opens for reading as the common options say. `snapshot`, an id or a name, may be NULL. Encrypted
 * images are for those who say so: their tables can be looked at, their guest bytes cannot.
 */
int opened_view_open(const char *path, const struct common_options *common, const char *snapshot,
		     bool encrypted, struct opened_view *ret, struct qc_err *err);
void opened_view_close(struct opened_view *opened); /* harmless on a zeroed struct */
