// SPDX-License-Identifier: MIT
/* Images whose clusters were allocated ahead of their use, and so are holes in the file. */
#pragma once

#include <stdbool.h>

#include "image/image.h"

/*
 * Whether the file occupies clearly less space than its refcounts say is in use. Only then is it
 * worth asking for each data cluster whether the file has a hole there, and this is also the rule
 * by which qemu-img reports such clusters as zero. Looked up once; false if it cannot be found out.
 */
bool qc_image_is_thin(struct qc_image *image);
