// SPDX-License-Identifier: MIT
/* Whether a name may be given to a new file. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/*
 * What a new file is to be called so that `path` leads to it: a symbolic link stays one, and what
 * it leads to is replaced. *ret_path is the caller's to free. Refuses to replace what is no regular
 * file, and whatever exists unless `replace`; *ret_exists says whether there is an old file.
 */
int new_file_target(const char *path, bool replace, char **ret_path, bool *ret_exists,
		    struct qc_err *err);
