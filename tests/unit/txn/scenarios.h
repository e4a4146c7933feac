// SPDX-License-Identifier: MIT
/* Images of every kind, and edits of every kind, small enough to be broken at each single call. */
#pragma once

#include "unit/txn/fixture.h"

enum step_kind {
	STEP_WRITE,
	STEP_NOISE, /* a write of bytes that do not compress */
	STEP_ZERO,
	STEP_DISCARD,
	STEP_GROW,
};

/* Offsets and lengths are in quarters of a cluster, so that they mean the same in every image. */
struct step {
	enum step_kind kind;
	uint64_t at, length;
	uint8_t fill;
};

struct edit {
	const char *name;
	bool compress;
	struct step steps[4];
	size_t count;
};

static const struct edit edits[] = {
	{"a write within one cluster", false, {{STEP_WRITE, 5, 2, 0x11}}, 1},
	{"a write over many clusters", false, {{STEP_NOISE, 1, 45, 0x22}}, 1},
	{"a write over a compressed cluster", false, {{STEP_WRITE, 21, 1, 0x33}}, 1},
	{"zeroes", false, {{STEP_ZERO, 2, 43, 0}}, 1},
	{"a discard", false, {{STEP_DISCARD, 3, 41, 0}}, 1},
	{"a compressed write",
	 true,
	 {{STEP_WRITE, 8, 16, 0x44}, {STEP_NOISE, 32, 8, 0x55}, {STEP_WRITE, 8, 4, 0x66}},
	 3},
	{"growth", false, {{STEP_GROW, 0, 300, 0}, {STEP_WRITE, 290, 5, 0x77}}, 2},
	{"a change of mind",
	 false,
	 {{STEP_WRITE, 16, 1, 0x88}, {STEP_DISCARD, 16, 4, 0}, {STEP_WRITE, 18, 1, 0x99}},
	 3},
	{"a bit of everything",
	 true,
	 {{STEP_WRITE, 4, 8, 0x10},
	  {STEP_ZERO, 6, 4, 0},
	  {STEP_DISCARD, 4, 4, 0},
	  {STEP_NOISE, 5, 7, 9}},
	 4},
};

#define EDIT_COUNT (sizeof(edits) / sizeof(edits[0]))

struct picture {
	const char *name;
	struct builder_options options; /* disk_bytes and l1_slack apart: the defaults if 0 */
	bool snapshot, stale;
};

static const struct picture pictures[] = {
	{"512-byte clusters, leftovers in free clusters",
	 {.version = 3, .cluster_bits = 9, .refcount_order = 4},
	 true,
	 true},
	{"512-byte clusters, 64-bit refcounts",
	 {.version = 3, .cluster_bits = 9, .refcount_order = 6},
	 false,
	 false},
	{"512-byte clusters, 1-bit refcounts",
	 {.version = 3, .cluster_bits = 9, .refcount_order = 0},
	 false,
	 true},
	{"version 2, 4 KiB clusters",
	 {.version = 2, .cluster_bits = 12, .refcount_order = 4},
	 true,
	 true},
	{"16 KiB clusters, zstd",
	 {.version = 3,
	  .cluster_bits = 14,
	  .refcount_order = 3,
	  .compression = QC_COMPRESSION_ZSTD},
	 true,
	 false},
	{"64 KiB clusters, extended L2, leftovers",
	 {.version = 3, .cluster_bits = 16, .refcount_order = 4, .extended_l2 = true},
	 true,
	 true},
};

#define PICTURE_COUNT (sizeof(pictures) / sizeof(pictures[0]))

/*
 * Guest clusters 0 to 3 are data (with a snapshot: 1 and 3 changed since), 4 is not allocated, 5 and 6
 * are compressed, 7 and 8 zero where the version can say so, 9 has subclusters where there are any;
 * the disk ends inside cluster 12.
 */
static inline struct builder *picture_build(const struct picture *picture)
{
	struct builder_options o = picture->options;
	struct builder *b;

	o.disk_bytes = (UINT64_C(12) << o.cluster_bits) + 100;
	b = builder_new(&o);
	for (uint64_t i = 0; i < 4; i++)
		builder_data(b, i, filled((uint8_t)(0xa0 + i)));
	if (picture->stale)
		builder_skip_clusters(b, 9);
	builder_compressed(b, 5, filled(0xc5));
	if (o.refcount_order > 0) /* two in one host cluster are two references */
		builder_compressed(b, 6, filled(0xc6));
	if (o.version >= 3 && !o.extended_l2) {
		builder_zero(b, 7);
		builder_zero_alloc(b, 8);
	}
	if (o.extended_l2)
		builder_subclusters(b, 9, filled(0x59), 0x0000ffff, 0x0f000000);
	if (picture->snapshot) {
		builder_snapshot(b, "1", "before");
		builder_data(b, 1, filled(0xb1));
		builder_data(b, 3, filled(0xb3));
	}
	return b;
}

/* Bytes that freed clusters left behind: free clusters may hold anything, and keep it. */
static inline void picture_spoil(struct builder *b, uint8_t *bytes, size_t length)
{
	uint64_t cluster = builder_geometry(b)->cluster_bytes;

	for (uint64_t i = 0; i < length / cluster; i++)
		if (builder_refcount(b, i) == 0)
			fill_noise(bytes + i * cluster, (size_t)cluster, i + 1);
}

static inline bool edit_fits(const struct edit *edit, const struct picture *picture)
{
	/* Snapshots of version 2 do not remember the disk's size. */
	return !(picture->options.version == 2 && picture->snapshot
		 && edit->steps[0].kind == STEP_GROW);
}

static inline void step_bytes(const struct step *step, uint8_t *to, size_t length)
{
	if (step->kind == STEP_NOISE)
		fill_noise(to, length, step->fill);
	else
		memset(to, step->kind == STEP_WRITE ? step->fill : 0, length);
}

static inline int edit_apply(const struct edit *edit, struct qc_txn *txn, uint64_t quarter,
			     struct qc_err *err)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < edit->count; i++) {
		const struct step *s = &edit->steps[i];
		struct qc_guest at = qc_guest(s->at * quarter);
		uint64_t length = s->length * quarter;
		uint8_t *bytes = malloc((size_t)length);

		if (!bytes)
			return qc_fail_memory(err);
		step_bytes(s, bytes, (size_t)length);
		if (s->kind == STEP_WRITE || s->kind == STEP_NOISE)
			status = qc_txn_write(txn, at, bytes, (size_t)length, err);
		else if (s->kind == STEP_ZERO)
			status = qc_txn_zero(txn, at, length, err);
		else if (s->kind == STEP_DISCARD)
			status = qc_txn_discard(txn, at, length, err);
		else
			status = qc_txn_grow(txn, length, err);
		free(bytes);
	}
	return status;
}

/* The same on plain bytes, which become *length long. */
static inline uint8_t *edit_model(const struct edit *edit, const uint8_t *disk, size_t *length,
				  uint64_t quarter)
{
	uint8_t *model = malloc(*length);

	assert_non_null(model);
	memcpy(model, disk, *length);
	for (size_t i = 0; i < edit->count; i++) {
		const struct step *s = &edit->steps[i];
		size_t bytes = (size_t)(s->length * quarter);

		if (s->kind != STEP_GROW) {
			step_bytes(s, model + s->at * quarter, bytes);
			continue;
		}
		model = realloc(model, bytes);
		assert_non_null(model);
		memset(model + *length, 0, bytes - *length);
		*length = bytes;
	}
	return model;
}

/* An image, an edit, and what the guest sees before and after. */
struct scenario {
	const struct edit *edit;
	uint8_t *bytes, *old_disk, *new_disk;
	size_t length, old_length, new_length;
	uint64_t quarter;
};

static inline void scenario_make(struct scenario *s, const struct picture *picture,
				 const struct edit *edit)
{
	struct builder *b = picture_build(picture);
	struct qc_file *file;
	struct qc_err err;
	uint8_t *bytes;

	builder_finish(b, &bytes, &s->length);
	if (picture->stale)
		picture_spoil(b, bytes, s->length);
	s->edit = edit;
	s->quarter = builder_geometry(b)->cluster_bytes / 4;
	s->old_length = s->new_length = (size_t)builder_header(b)->disk_bytes;
	s->bytes = malloc(s->length);
	s->old_disk = malloc(s->old_length);
	assert_non_null(s->bytes);
	assert_non_null(s->old_disk);
	memcpy(s->bytes, bytes, s->length);
	builder_free(b);
	assert_int_equal(qc_file_mem_open(s->bytes, s->length, &file, &err), 0);
	assert_sound(file);
	read_guest(file, NULL, 0, s->old_disk, s->old_length);
	qc_file_close(file);
	s->new_disk = edit_model(edit, s->old_disk, &s->new_length, s->quarter);
}

static inline void scenario_clear(struct scenario *s)
{
	free(s->bytes);
	free(s->old_disk);
	free(s->new_disk);
}

/* The whole transaction. */
static inline int scenario_run(const struct scenario *s, struct rig *r)
{
	int status = rig_begin(r, NULL, s->edit->compress);

	if (status == 0)
		status = edit_apply(s->edit, r->txn, s->quarter, &r->err);
	return rig_end(r, status);
}

static inline bool shows(struct qc_file *file, const uint8_t *disk, size_t length)
{
	uint8_t *now = malloc(length);
	struct qc_image *image;
	struct qc_err err;
	bool same;

	assert_non_null(now);
	if (qc_image_open(file, NULL, &image, &err) < 0)
		fail_msg("open: %s", err.text);
	same = image->header.disk_bytes == length;
	qc_image_close(image);
	if (same) {
		read_guest(file, NULL, 0, now, length);
		same = memcmp(now, disk, length) == 0;
	}
	free(now);
	return same;
}
