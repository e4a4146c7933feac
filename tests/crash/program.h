// SPDX-License-Identifier: MIT
/*
 * QEMU's programs, each loaded once for each process that asks for it, and forked for each run:
 * loading is most of what a short run costs. And what each run read and wrote.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum touch_kind {
	TOUCH_READ,
	TOUCH_WRITE, /* also what was zeroed or punched */
	TOUCH_RESIZE,
};

/*
 * Of a regular file. Sizes are asked as well, and that is no touch. Nor is it when qemu-img compare asks
 * how much of a file is allocated and where its holes are: with -s that can decide what it finds.
 */
struct touch {
	enum touch_kind kind;
	uint64_t inode;
	uint64_t offset; /* RESIZE: 0 */
	uint64_t length; /* as asked for, beyond the end as well; RESIZE: the new size */
};

/* In order; stays until the next run of that program. */
struct touches {
	const struct touch *list;
	size_t count;
};

/*
 * Runs argv[0], found as a shell does, with those arguments; true: it ended with 0. What it prints
 * is lost, but for complaints if not `quiet`. ret_touches may be NULL.
 */
bool program_runs(const char *const argv[], bool quiet, struct touches *ret_touches);

/* Likewise, but how it ended: the exit status, or 128 + N if signal N ended it. */
int program_status(const char *const argv[], bool quiet, struct touches *ret_touches);
