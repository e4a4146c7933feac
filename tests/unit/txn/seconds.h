// SPDX-License-Identifier: MIT
/* The processor time that something takes: of this process alone, as others may be busy. */
#pragma once

#include <time.h>

#define SECONDS_MAX 2.0

static inline double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline void assert_in_time(double start)
{
	double seconds = seconds_now() - start;

	if (seconds > SECONDS_MAX)
		fail_msg("took %.1f s", seconds);
}
