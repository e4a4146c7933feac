// SPDX-License-Identifier: MIT
#include "cmd/interrupt.h"

#include <stddef.h>

/* A signal handler can reach nothing else. */
static volatile sig_atomic_t stop;

static void note_signal(int number)
{
	(void)number;
	stop = 1;
}

const volatile sig_atomic_t *interrupt_catch(void)
{
	struct sigaction action = {.sa_handler = note_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	return &stop;
}
