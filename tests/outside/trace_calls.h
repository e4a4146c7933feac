// SPDX-License-Identifier: MIT
/* The system calls that change files, and the filter that makes a program stop at each of them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum trace_kind {
	TRACE_WRITE_AT, /* to an offset that is an argument */
	TRACE_WRITE,	/* to the file's own position */
	TRACE_RESIZE,
	TRACE_ALLOCATE, /* or punch a hole, or zero */
	TRACE_SYNC,
	TRACE_OPEN, /* counts if it may create or empty a file */
	TRACE_NAME,
	TRACE_MAP,    /* counts if what is stored to the memory ends up in the file */
	TRACE_HIDDEN, /* changes a file in a way that is not followed */
};

struct trace_what {
	const char *name;
	enum trace_kind kind;
	int number;
	int fd_arg;    /* -1: it takes paths */
	int bytes_arg; /* how much is done; -1: that cannot be cut short */
	int value_arg; /* an offset (-1: none), or an open's or a mapping's flags */
};

extern const struct trace_what trace_calls[];
extern const size_t trace_call_count;

/*
 * Installs the filter for this thread and all that come of it. Calls of the list end in a stop of
 * the tracer, whose message is the index; asynchronous I/O, which changes files without a call for
 * each change, does not exist. Returns 0 or an errno.
 */
int trace_calls_filter(void);
