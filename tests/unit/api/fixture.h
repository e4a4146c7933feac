// SPDX-License-Identifier: MIT
/* An image on the disk, for tests of what programs call. */
#pragma once

#undef NDEBUG
#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/qcowtool.h"
#include "io/file_posix.h"
#include "ops/create.h"
#include "unit/api/guarded.h"

#define DISK_BYTES (UINT64_C(4) << 20)

struct scene {
	char folder[32];
	char path[48];
	struct qcowtool_error error;
};

static void start(struct scene *s)
{
	const struct qc_create how = {.version = 3,
				      .cluster_bits = 16,
				      .refcount_order = 4,
				      .disk_bytes = DISK_BYTES};
	struct qc_file *file;
	struct qc_err err;

	*s = (struct scene){.folder = "/tmp/qcowtool-api-XXXXXX"};
	assert(mkdtemp(s->folder) != NULL);
	snprintf(s->path, sizeof(s->path), "%s/disk.qcow2", s->folder);
	assert(qc_file_posix_create(s->path, true, &file, &err) == 0);
	assert(qc_create_write(&how, file, &err) == 0);
	assert(qc_file_posix_publish(file, s->path, false, &err) == 0);
	qc_file_close(file);
}

static void end(struct scene *s)
{
	assert(unlink(s->path) == 0);
	assert(rmdir(s->folder) == 0);
}

/* Writes a text in a transaction of its own. */
static inline void put(struct scene *s, uint64_t at, const char *text)
{
	struct qcowtool_edit *edit;

	assert_int_equal(qcowtool_begin(s->path, 0, &edit, &s->error), 0);
	assert_int_equal(qcowtool_write(edit, at, text, strlen(text), &s->error), 0);
	assert_int_equal(qcowtool_commit(edit, NULL, &s->error), 0);
}

/* The disk, or a snapshot of it, shows the text there. */
static inline void shows(struct scene *s, const char *snapshot, uint64_t at, const char *text)
{
	struct qcowtool_image *image;
	char seen[64] = "";

	assert(strlen(text) < sizeof(seen));
	assert_int_equal(qcowtool_open(s->path, snapshot, 0, &image, &s->error), 0);
	assert_int_equal(qcowtool_read(image, at, seen, strlen(text), &s->error), 0);
	qcowtool_close(image);
	assert_string_equal(seen, text);
}
