// SPDX-License-Identifier: MIT
/*
 * hold_lock MODE FILE: opens FILE as the program does, says "ready" and holds the lock until stdin
 * ends. MODE is none, force, read or write. Exit status 1 and one line on stderr if refused.
 */
#include <stdio.h>
#include <string.h>

#include "io/file_posix.h"

static const char *const modes[] = {
	[QC_LOCK_NONE] = "none",
	[QC_LOCK_FORCE] = "force",
	[QC_LOCK_READ] = "read",
	[QC_LOCK_WRITE] = "write",
};

static int usage(void)
{
	fprintf(stderr, "usage: hold_lock none|force|read|write FILE\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct qc_file_open how = {0};
	struct qc_file *file;
	struct qc_err err;
	unsigned int mode = 0;

	if (argc != 3)
		return usage();
	while (mode <= QC_LOCK_WRITE && strcmp(argv[1], modes[mode]) != 0)
		mode++;
	if (mode > QC_LOCK_WRITE)
		return usage();
	how.lock = (enum qc_lock)mode;
	how.writable = how.lock == QC_LOCK_WRITE;
	if (qc_file_posix_open(argv[2], &how, &file, &err) < 0) {
		fprintf(stderr, "hold_lock: '%s': %s\n", argv[2], err.text);
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	qc_file_close(file);
	return 0;
}
