// SPDX-License-Identifier: MIT
/*
 * A file as simple as it can be, an array of bytes, and a long random walk that does everything to
 * it and to a real one: whatever a backend makes of holes, blocks and mappings must not show.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "io/file.h"

#define MODEL_BYTES_MAX (40u << 10)

struct file_model {
	uint8_t bytes[MODEL_BYTES_MAX];
	uint64_t length;
	uint64_t seed;
};

static inline uint64_t model_random(struct file_model *model, uint64_t below)
{
	model->seed = model->seed * 6364136223846793005u + 1442695040888963407u;
	return (model->seed >> 33) % below;
}

/* Offsets and lengths that like the borders of sectors and pages. */
static inline uint64_t model_place(struct file_model *model, uint64_t below)
{
	static const uint64_t grains[] = {1, 1, 512, 4096};
	uint64_t grain = grains[model_random(model, 4)];

	return qc_align_down(model_random(model, below), grain);
}

static inline void model_check_read(struct file_model *model, struct qc_file *file, uint64_t offset,
				    size_t length)
{
	static uint8_t got[MODEL_BYTES_MAX + 600];
	struct qc_err err;

	memset(got, 0xee, sizeof(got));
	assert_int_equal(qc_file_read(file, offset, got, length, &err), 0);
	for (size_t i = 0; i < length; i++)
		if (got[i] != (offset + i < model->length ? model->bytes[offset + i] : 0))
			fail_msg("byte 0x%zx of %llu is 0x%02x", (size_t)offset + i,
				 (unsigned long long)model->length, got[i]);
}

static inline void model_check_extent(struct file_model *model, struct qc_file *file,
				      uint64_t offset, uint64_t length)
{
	struct qc_err err;
	uint64_t run = 0;
	bool data;

	assert_int_equal(qc_file_extent(file, offset, length, &data, &run, &err), 0);
	assert_in_range(run, 1, length);
	if (offset >= model->length)
		assert_false(data);
	for (uint64_t i = offset; !data && i < offset + run; i++)
		assert_int_equal(i < model->length ? model->bytes[i] : 0, 0);
}

static inline void model_write(struct file_model *model, struct qc_file *file, uint64_t offset,
			       size_t length)
{
	static uint8_t fresh[MODEL_BYTES_MAX];
	struct qc_err err;

	length = (size_t)qc_min(length, MODEL_BYTES_MAX - offset);
	for (size_t i = 0; i < length; i++)
		fresh[i] = (uint8_t)model_random(model, 256);
	assert_int_equal(qc_file_write(file, offset, fresh, length, &err), 0);
	memcpy(model->bytes + offset, fresh, length);
	if (length > 0)
		model->length = qc_max(model->length, offset + length);
}

static inline void model_resize(struct file_model *model, struct qc_file *file, uint64_t bytes)
{
	struct qc_err err;

	assert_int_equal(qc_file_resize(file, bytes, &err), 0);
	if (bytes < model->length)
		memset(model->bytes + bytes, 0, (size_t)(model->length - bytes));
	model->length = bytes;
}

static inline void model_punch(struct file_model *model, struct qc_file *file, uint64_t offset,
			       uint64_t length)
{
	struct qc_err err;

	assert_int_equal(qc_file_punch(file, offset, length, &err), 0);
	memset(model->bytes + offset, 0, (size_t)qc_min(length, MODEL_BYTES_MAX - offset));
}

/* One random thing, done to both. */
static inline void model_step(struct file_model *model, struct qc_file *file)
{
	uint64_t offset = model_place(model, MODEL_BYTES_MAX);
	uint64_t length = model_place(model, model_random(model, 8) == 0 ? 20000 : 1500);

	switch (model_random(model, 8)) {
	case 0:
	case 1:
	case 2:
		model_write(model, file, offset, (size_t)length);
		break;
	case 3:
		model_punch(model, file, offset, length);
		break;
	case 4:
		model_resize(model, file, offset);
		break;
	case 5:
		model_check_extent(model, file, offset, length + 1);
		break;
	default:
		model_check_read(model, file, offset, (size_t)qc_min(length, MODEL_BYTES_MAX));
	}
	assert_int_equal(file->bytes, model->length);
}

static inline void model_walk(struct file_model *model, struct qc_file *file, unsigned int steps)
{
	for (unsigned int i = 0; i < steps; i++) {
		model_step(model, file);
		if (i % 64 == 0)
			model_check_read(model, file, 0, MODEL_BYTES_MAX + 600);
	}
	model_check_read(model, file, 0, MODEL_BYTES_MAX + 600);
}
