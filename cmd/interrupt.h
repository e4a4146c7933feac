// SPDX-License-Identifier: MIT
/* Ctrl-C and its like, while an image is being changed: the work is undone, then the program ends. */
#pragma once

#include <signal.h>

/*
 * From now on SIGINT, SIGTERM and SIGHUP set the flag that is returned instead of ending the
 * program. A second one changes nothing: undoing takes as long as it takes.
 */
const volatile sig_atomic_t *interrupt_catch(void);
