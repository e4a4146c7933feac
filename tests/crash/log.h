// SPDX-License-Identifier: MIT
/*
 * What changed a file, in order: each write, resize, punch and sync. Crash states are made of it.
 * Operations on an image and on its data file may stand in one log; each file's syncs are its own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crash/folder.h"

enum crash_kind {
	CRASH_WRITE,
	CRASH_RESIZE, /* `length` is the new size of the file */
	CRASH_PUNCH,
	CRASH_SYNC, /* `offset` is its enum qc_sync */
};

#define CRASH_FILES 2 /* the image, and its data file if it has one */

struct crash_op {
	enum crash_kind kind;
	unsigned int file;
	uint64_t offset, length;
	uint8_t *bytes; /* owned; of a write only */
};

struct crash_log {
	struct crash_op *ops;
	size_t count, room;
};

/* `bytes` is copied, and NULL for everything but a write. */
void crash_log_add(struct crash_log *log, enum crash_kind kind, uint64_t offset, uint64_t length,
		   const uint8_t *bytes);
/* Likewise, an operation on another file than the image. */
void crash_log_add_to(struct crash_log *log, unsigned int file, enum crash_kind kind,
		      uint64_t offset, uint64_t length, const uint8_t *bytes);
/* Copies operations [first, end) of `from` to the end of the log. */
void crash_log_append(struct crash_log *log, const struct crash_log *from, size_t first,
		      size_t end);
void crash_log_clear(struct crash_log *log); /* frees; the log is empty and usable */

/* The operation that writes sector 0, the first at or after `from`; log->count if there is none. */
size_t crash_log_flip(const struct crash_log *log, size_t from);
/* The first sync of any file at or after `from`; log->count if there is none. */
size_t crash_log_sync(const struct crash_log *log, size_t from);
/* Which is the first operation that comes after the image's first sync at or after `from`; SIZE_MAX: none. */
size_t crash_log_durable(const struct crash_log *log, size_t from);

/*
 * The operations that may be lost if the crash comes when the first `issued` were: those that no sync
 * of their file followed. Their indices go to `ret`; returns how many they are.
 */
size_t crash_log_doubt(const struct crash_log *log, size_t issued, size_t *ret);

/* Does operations [first, end), all on the image, to it. */
void crash_log_apply(const struct crash_log *log, size_t first, size_t end,
		     struct image_bytes *image);
