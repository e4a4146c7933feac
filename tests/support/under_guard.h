// SPDX-License-Identifier: MIT
/* For unit tests: the guard's verdict is one of the test's. */
#pragma once

#include "support/guard_file.h"

/* Closes the guard; the test fails if a promise was broken. */
static inline void end_guard(struct qc_file *guard)
{
	if (guard_violation(guard))
		fail_msg("%s", guard_violation(guard));
	qc_file_close(guard);
}
