// SPDX-License-Identifier: MIT
/* map --svg: a picture of the image's file, in a new file that appears when it is complete. */
#pragma once

#include "base/err.h"
#include "base/progress.h"
#include "cmd/common_options.h"

/* Of the image at `path`, to the file `target`, which is replaced only if it is a picture, too. */
int map_svg(const char *path, const char *target, const struct common_options *common,
	    struct qc_progress *progress, struct qc_err *err);
