// SPDX-License-Identifier: MIT
/* Ctrl-C and its like: one line on stderr says that nothing has been changed, and it is true. */
#define INTERRUPTED_WORDS "interrupted: nothing has been changed"

#pragma once

#include <signal.h>

/*
 * To begin with: SIGINT, SIGTERM and SIGHUP end the program at once, with a line on stderr and status 1.
 * Right for all work that leaves nothing behind. `name` is borrowed for good.
 */
void interrupt_end_at_once(const char *name);

/*
 * From now on SIGINT, SIGTERM and SIGHUP set the flag that is returned instead of ending the
 * program. A second one changes nothing: undoing takes as long as it takes.
 */
const volatile sig_atomic_t *interrupt_catch(void);
