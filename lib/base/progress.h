// SPDX-License-Identifier: MIT
/*
 * How far long work has come, for whoever wants to show it. Work that takes a `struct qc_progress *`
 * takes NULL too, and reports where it loops anyway, with no clock and no output of its own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct qc_progress {
	/*
	 * So much of the total is done, in the work's own measure, mostly bytes of disk. Called by any
	 * thread, also by several at a time, and often: it must be cheap. May start again from 0.
	 */
	void (*step)(struct qc_progress *progress, uint64_t done, uint64_t total);
};

static inline void qc_progress_step(struct qc_progress *progress, uint64_t done, uint64_t total)
{
	if (progress)
		progress->step(progress, done, total);
}
