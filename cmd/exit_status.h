// SPDX-License-Identifier: MIT
/* What a script learns from qcowtool. These numbers are documented and never change. */
#pragma once

#include "base/err.h"

enum exit_status {
	EXIT_DONE = 0,		  /* done, or clean */
	EXIT_FAILED = 1,	  /* failed; the image is what it was */
	EXIT_CORRUPT = 2,	  /* check found corruption */
	EXIT_LEAKS = 3,		  /* check found leaks and nothing worse */
	EXIT_OUTCOME_UNKNOWN = 4, /* the sync after the commit's one write failed */
	EXIT_USAGE = 64,	  /* the command line makes no sense */
};

/* The status of a command that failed with this error. */
static inline int exit_status_of(const struct qc_err *err)
{
	return err->code == QC_E_OUTCOME_UNKNOWN ? EXIT_OUTCOME_UNKNOWN : EXIT_FAILED;
}
