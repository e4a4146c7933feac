// SPDX-License-Identifier: MIT
/* The moment after which a command opens nothing more; see io/sandbox.h. */
#pragma once

#include "cmd/common_options.h"
#include "io/file.h"

/* Locks the process down, unless --no-sandbox was given. */
void lock_down(const struct common_options *common);

/* Likewise, but files made by qc_file_posix_create() can still be published; NULL is none. */
void lock_down_but_publish(const struct common_options *common, const struct qc_file *file,
			   const struct qc_file *and_this);

/* lock_down() for struct qc_edit_options and its like; `common` is the context. */
void lock_down_opened(const void *common);
