// SPDX-License-Identifier: MIT
/* Several threads that do the same work until there is none left. */
#pragma once

/* How many threads `wanted` stands for; 0 is one for each processor that this process may use. */
unsigned int qc_crew_size(unsigned int wanted);

/*
 * Calls work(context) in so many threads at a time, the caller's among them, and returns when all of
 * them have. Threads that cannot be started are done without. Signals go to the caller's only.
 */
void qc_crew_run(unsigned int threads, void (*work)(void *context), void *context);
