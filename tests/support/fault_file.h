// SPDX-License-Identifier: MIT
/*
 * A file that fails when it is told to. Every call that a backend sees is counted, so that a test
 * can run the same edit again and again and break it at the first call, the second, ...
 */
#pragma once

#include "io/file.h"

enum fault_call {
	FAULT_READ = 1,
	FAULT_WRITE = 2,
	FAULT_RESIZE = 4,
	FAULT_PUNCH = 8,
	FAULT_SYNC = 16,
	FAULT_ALL = 31,
};

struct fault_plan {
	unsigned int calls; /* enum fault_call: those that are counted and can fail */
	uint64_t at;	    /* which of them fails, from 0; UINT64_MAX: none */
	bool sticky;	    /* and all that are counted after it */
	int os_errno;	    /* what they say: EIO, ENOSPC, ... */
	bool partly;	    /* a write that fails has written its first half */
};

/* `inner` is borrowed and must outlive the wrapper. */
struct qc_file *fault_file_open(struct qc_file *inner, const struct fault_plan *plan);

bool fault_happened(const struct qc_file *fault);
