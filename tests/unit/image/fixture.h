// SPDX-License-Identifier: MIT
/* Images of the builder, opened from memory, for the tests of this folder. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "image/chain.h"
#include "image/image.h"
#include "image/map.h"
#include "io/file_mem.h"
#include "support/image_builder.h"

/* A layer over an image in memory. */
struct fixture {
	struct qc_layer layer;
	struct qc_err err;
};

static inline int fixture_try(struct fixture *f, struct builder *b)
{
	uint8_t *bytes;
	size_t length;

	*f = (struct fixture){0};
	builder_finish(b, &bytes, &length);
	assert_int_equal(qc_file_mem_open(bytes, length, &f->layer.file, &f->err), 0);
	return qc_image_open(f->layer.file, NULL, &f->layer.image, &f->err);
}

/* After builder_finish() and edits: the bytes as they are now. */
static inline int fixture_reopen(struct fixture *f, const uint8_t *bytes, size_t length)
{
	*f = (struct fixture){0};
	assert_int_equal(qc_file_mem_open(bytes, length, &f->layer.file, &f->err), 0);
	return qc_image_open(f->layer.file, NULL, &f->layer.image, &f->err);
}

static inline void fixture_open(struct fixture *f, struct builder *b)
{
	if (fixture_try(f, b) < 0)
		fail_msg("%s", f->err.text);
	f->layer.disk_bytes = f->layer.image->header.disk_bytes;
}

static inline void fixture_close(struct fixture *f)
{
	qc_image_close(f->layer.image);
	qc_file_close(f->layer.file);
}

/* A cluster full of one byte; borrowed until the next call. */
static inline const uint8_t *filled(uint8_t byte)
{
	static uint8_t cluster[2 << 20];

	memset(cluster, byte, sizeof(cluster));
	return cluster;
}
