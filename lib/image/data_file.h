// SPDX-License-Identifier: MIT
/*
 * The external data file of an image: where its guest clusters lie, each at its own guest offset.
 *
 * Its name comes from the image, hence perhaps from a stranger, and whoever writes to the disk writes
 * to that file. So it is a plain path that the policy for references allows, to a regular file or a
 * block device which is not the image itself, or it is not opened. A relative one is taken from the
 * working directory, not from the image's folder: that is what QEMU does, and two programs that find
 * two different files by the same name would be worse than either rule.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "image/image.h"
#include "image/reference.h"
#include "io/file_posix.h"

/*
 * Opens the file that `image` names; the caller closes it. `policy_path` is the path of the image
 * that was named on the command line, `image_file` the open file that `image` is in, where that
 * reads a view of it; NULL: the image's own. QC_E_FORMAT if there is no name.
 */
int qc_data_file_open(const struct qc_image *image, const char *policy_path,
		      enum qc_chain_policy policy, const struct qc_file_open *how,
		      const struct qc_file *image_file, struct qc_file **ret, struct qc_err *err);

/* Whether the data file can be read as the disk without looking at the image (data_file_raw). */
bool qc_data_file_is_raw(const struct qc_image *image);
