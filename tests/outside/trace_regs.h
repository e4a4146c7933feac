// SPDX-License-Identifier: MIT
/* The registers of a thread that stands before a system call: what differs between processors. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether this processor is known here. */
bool trace_regs_known(void);

/* The call is not made, and returns this error. False if the thread is gone. */
bool trace_regs_fail(pid_t thread, int errnum);

/* The call is made with another value for an argument. */
bool trace_regs_argument(pid_t thread, int which, uint64_t value);
