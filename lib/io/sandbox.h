// SPDX-License-Identifier: MIT
/*
 * What this process gives up before it looks at an image from a stranger. Nothing here can fail: what
 * the system does not offer is not used, and qc_sandbox_offers() says what it does.
 *
 * Calling sequence
 *	qc_sandbox_limit();	before the first byte is read
 *	...			all files are opened
 *	qc_sandbox_lock(NULL, NULL);	from here on, for good: no file, socket or program can be opened
 *
 * What stays possible is work on open files and memory, threads of this process, and its end; and, if
 * a new file is to get its name yet, to link, rename and unlink names in the one folder of that file.
 */
#pragma once

#include "io/file.h"

enum qc_sandbox_part {
	QC_SANDBOX_LIMITS = 1 << 0,   /* no core file, a bounded address space, no new privileges */
	QC_SANDBOX_LANDLOCK = 1 << 1, /* no path leads anywhere, no TCP port, no signal outside */
	QC_SANDBOX_SECCOMP = 1 << 2,  /* all other system calls fail with ENOSYS */
};

/* Returns the parts that took effect. */
unsigned int qc_sandbox_limit(void);
unsigned int qc_sandbox_lock(const struct qc_file *to_publish, /* NULL: nothing is */
			     const struct qc_file *and_this);  /* likewise */

/* The parts that this build on this machine would use; changes nothing. */
unsigned int qc_sandbox_offers(void);
