// SPDX-License-Identifier: MIT
/* For what can only fail if the harness itself is wrong: says where, and stops the program. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			must_fail_(__FILE__, __LINE__, #condition);                                \
	} while (0)

static inline _Noreturn void must_fail_(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}
