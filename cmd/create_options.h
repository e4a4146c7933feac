// SPDX-License-Identifier: MIT
/* The -o KEY=VALUE,... of create. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "ops/create.h"

struct create_options {
	struct qc_create how;
	char compat[8];		/* as it was typed; "" if it was not */
	bool has_preallocation; /* it was typed */
	char *data_file;	/* owned; what how.data_file_name is */
};

void create_options_init(struct create_options *options);

/* Takes a list of options; later ones win. */
int create_options_take(struct create_options *options, const char *list, struct qc_err *err);

/* "metadata" */
const char *create_preallocation_name(enum qc_preallocation preallocation);
