// SPDX-License-Identifier: MIT
/*
 * What a file name inside an image may lead to. Such a name is bytes from a stranger: it is a plain
 * path or it is refused; nothing with a protocol ("nbd:...", "json:...") is ever interpreted.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* Which files an image may pull in: --chain. */
enum qc_chain_policy {
	QC_CHAIN_NONE, /* only the one that was named on the command line */
	QC_CHAIN_DIR,  /* those in or below that one's own directory, symbolic links resolved */
	QC_CHAIN_ANY,
};

/*
 * The path that `name`, found in the image at `image_path`, stands for: absolute names as they are,
 * relative ones from the image's folder, "file:" in front dropped. Does not look at the policy. *ret
 * is the caller's to free. QC_E_POLICY for names with a protocol or "json:".
 */
int qc_reference_resolve(const char *image_path, const char *name, char **ret, struct qc_err *err);

/* Whether the policy lets the image at `image_path` open `path`; raises QC_E_POLICY if not. */
int qc_reference_allow(enum qc_chain_policy policy, const char *image_path, const char *path,
		       struct qc_err *err);
