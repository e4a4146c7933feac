// SPDX-License-Identifier: MIT
/*
 * Runs a program, all its threads and children, and stops it before and after each system call that
 * changes a file below one folder. It may then go on, be cut short, fail, or be killed.
 *
 * What must stay true
 * 1. One such call is under way at a time: threads that want to make another wait for its end. So
 *    the order that is seen is the one in which things happened.
 * 2. No such call is missed. What a program could do beside them does not exist for it (asynchronous
 *    I/O) or is a call of kind TRACE_HIDDEN or TRACE_MAP, which the caller refuses.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "outside/trace_calls.h"

#define TRACE_PATH_BYTES 512
#define TRACE_WORDS_BYTES 4096

struct trace_call {
	const struct trace_what *what;
	size_t index; /* the how many-th */
	pid_t thread;
	uint64_t args[6];
	int fd;			     /* of the program; -1: the call takes paths */
	char path[TRACE_PATH_BYTES]; /* what fd leads to, as the system spells it */
	int64_t result;		     /* afterwards: of the call; negative: an errno */
	/* What trace_before fills in, for its answer. */
	int errnum;
	uint64_t bytes;
};

enum trace_answer {
	TRACE_GO,
	TRACE_FAIL, /* before only: the call fails with `errnum`; no `after` follows */
	TRACE_CUT,  /* before only: the call does no more than `bytes` */
	TRACE_KILL, /* SIGKILL, now */
};

struct trace_run {
	const char *folder;	 /* absolute, as realpath() gives it; the program starts in it */
	const char *const *argv; /* ends with NULL */
	enum trace_answer (*before)(void *context, struct trace_call *call);
	enum trace_answer (*after)(void *context, const struct trace_call *call);
	void *context;
	/* What came of it. */
	size_t calls;
	int status;		       /* the exit status; 128 + N if signal N ended it */
	char words[TRACE_WORDS_BYTES]; /* the beginning of what it wrote to stdout and stderr */
};

/* Why programs cannot be traced here, such as in a sandbox; NULL: they can. */
const char *trace_refusal(void);

/* False, with a line on stderr, if the program could not be run. */
bool trace_program(struct trace_run *run);

/* Runs a program with nobody watching; its status as above. It may print to `out_path` or nowhere. */
int run_program(const char *folder, const char *const *argv, const char *out_path);
