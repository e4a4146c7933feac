// SPDX-License-Identifier: MIT
/*
 * Shows how far long work has come: percent, amount, rate and time left. On a terminal it appears by
 * itself after a second, as one line that is gone in the end; with -p, and no terminal, as a line now and
 * then, the last one at 100 %. SIGUSR1 gets one line at any time. -q silences all of it.
 *
 *	struct progress progress;
 *
 *	progress_init(&progress, &line, line.argument[0]);
 *	... .progress = &progress.base ...
 *	progress_end(&progress);	before anything else is printed
 *
 * The thread that prints begins with the first step, so it is locked down as whoever took that is.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/progress.h"
#include "cmd/command_line.h"

struct progress {
	struct qc_progress base;
	const char *name, *file; /* as command_note() takes them */
	bool quiet, asked, terminal;
	atomic_uint_fast64_t done, total;
	atomic_bool begun, quit;
	pthread_t printer;
	bool has_printer;
	/* All below is the printer's. */
	struct timespec start;
	uint64_t last_done;    /* when it looked last; less is done when work begins anew */
	double shown_at;       /* seconds from the start; when there was a line last */
	uint64_t shown_tenths; /* of the total, then */
	bool drawn;	       /* there is a line on the terminal */
};

/* What main() does first: until something is to be told, SIGUSR1 waits and harms nobody. */
void progress_block_signal(void);

/* `line` and `file` are borrowed until the end. */
void progress_init(struct progress *progress, const struct command_line *line, const char *file);
void progress_end(struct progress *progress);
