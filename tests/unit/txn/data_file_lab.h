// SPDX-License-Identifier: MIT
/* Images with an external data file, an edit of each kind of cluster, and the same on a model. */
#pragma once

#include "unit/txn/two_files.h"

#include "format/disk_layout.h"
#include "format/features.h"

#define CLUSTERS 10
#define GUEST_MAX ((size_t)14 << 14)

struct mode {
	const char *name;
	bool raw, extended;
};

static const struct mode modes[] = {
	{"plain", false, false},
	{"raw", true, false},
	{"extended L2", false, true},
	{"raw, extended L2", true, true},
};

struct lab {
	const struct mode *mode;
	size_t cluster, disk_bytes;
	struct two_log log;
	struct content before[FILES];
	struct qc_file *recorder[FILES], *file[FILES]; /* the files are those under a guard */
	struct qc_image *image;
	struct qc_txn *txn;
	struct qc_txn_report report;
	struct qc_err err;
	uint8_t *old, *new; /* guest bytes; the disk may grow */
	size_t new_bytes;
	size_t pending; /* states that had something to redo */
};

/* --- the image: clusters 0 to 2 data, 3 and 4 zero, 5 subclusters, the rest is unallocated --- */

static inline void build_image(struct lab *lab)
{
	struct builder_options o = builder_defaults();
	struct builder *b;
	uint8_t *bytes;

	o.cluster_bits = lab->mode->extended ? 14 : 12;
	o.extended_l2 = lab->mode->extended;
	o.incompatible = QC_INCOMPAT_DATA_FILE;
	o.autoclear = lab->mode->raw ? QC_AUTOCLEAR_DATA_RAW : 0;
	lab->cluster = (size_t)1 << o.cluster_bits;
	lab->disk_bytes = (CLUSTERS - 1) * lab->cluster + 1024;
	o.disk_bytes = lab->disk_bytes;
	o.l1_slack = 1;
	b = builder_new(&o);
	builder_extension(b, QC_EXTENSION_DATA_FILE, "data", 4);
	for (uint64_t i = 0; i < CLUSTERS; i++)
		if (i < 3 || (lab->mode->raw && i > 5))
			builder_data(b, i, NULL);
	builder_zero_alloc(b, 3);
	builder_zero(b, 4);
	if (lab->mode->extended)
		builder_subclusters(b, 5, NULL, 0x0000ff00u, 0x000000ffu);
	builder_finish(b, &bytes, &lab->before[IMAGE].length);
	lab->before[IMAGE].bytes = malloc(lab->before[IMAGE].length);
	memcpy(lab->before[IMAGE].bytes, bytes, lab->before[IMAGE].length);
	builder_free(b);
}

/* Where the image shows nothing, a raw data file has zeroes, and another one anything. */
static inline void build_data(struct lab *lab)
{
	struct content *data = &lab->before[DATA];

	data->length = lab->disk_bytes;
	data->bytes = malloc(data->length);
	fill_noise(data->bytes, data->length, 7);
	if (lab->mode->raw)
		memset(data->bytes + 3 * lab->cluster, 0, 3 * lab->cluster);
}

static inline void open_lab(struct lab *lab, const struct content content[FILES])
{
	for (int f = 0; f < FILES; f++)
		lab->recorder[f] = recorder_open(mem_of(&content[f]), f, &lab->log);
	lab->file[IMAGE] = guard_file_open(lab->recorder[IMAGE], lab->recorder[IMAGE]);
	lab->file[DATA] = guard_file_open_data(lab->recorder[DATA], lab->file[IMAGE]);
}

static inline int begin(struct lab *lab)
{
	const struct qc_txn_options options = {0};
	int status = qc_image_open(lab->file[IMAGE], NULL, &lab->image, &lab->err);

	if (status < 0)
		return status;
	lab->image->data = lab->file[DATA];
	return qc_txn_begin(lab->image, NULL, &options, &lab->txn, &lab->err);
}

static inline void close_lab(struct lab *lab)
{
	qc_file_close(lab->file[DATA]);
	end_guard(lab->file[IMAGE]);
	for (int f = 0; f < FILES; f++)
		qc_file_close(lab->recorder[f]);
}

/* What a program sees that knows nothing of journals. */
static inline void look(struct qc_file *image_file, struct qc_file *data, uint8_t *to,
			size_t length, bool *ret_marked)
{
	struct qc_layer layer = {0};
	struct qc_err err;

	if (qc_image_open(image_file, NULL, &layer.image, &err) < 0)
		fail_msg("open: %s", err.text);
	layer.image->data = data;
	layer.disk_bytes = layer.image->header.disk_bytes;
	if (qc_read_layer(&layer, qc_guest(0), to, length, &err) < 0)
		fail_msg("read: %s", err.text);
	*ret_marked = (layer.image->header.incompatible & QC_INCOMPAT_CORRUPT) != 0;
	qc_image_close(layer.image);
}

/* --- the edits, and the same on the model --- */

static inline int put(struct lab *lab, size_t at, size_t length, uint8_t byte)
{
	memset(lab->new + at, byte, length);
	return qc_txn_write(lab->txn, qc_guest(at), filled(byte), length, &lab->err);
}

static inline int zero(struct lab *lab, size_t at, size_t length, bool discard)
{
	memset(lab->new + at, 0, length);
	return discard ? qc_txn_discard(lab->txn, qc_guest(at), length, &lab->err)
		       : qc_txn_zero(lab->txn, qc_guest(at), length, &lab->err);
}

static inline int grow(struct lab *lab, size_t bytes)
{
	lab->new_bytes = bytes;
	return qc_txn_grow(lab->txn, bytes, &lab->err);
}

static inline int edit(struct lab *lab)
{
	const size_t c = lab->cluster;
	uint8_t *seen = malloc(GUEST_MAX);
	int status;

	memcpy(lab->new, lab->old, GUEST_MAX);
	lab->new_bytes = lab->disk_bytes;
	if ((status = put(lab, 3, 5, 0xa1)) < 0 || (status = zero(lab, c, c, true)) < 0
	    || (status = put(lab, c + 10, 20, 0xa2)) < 0
	    || (status = zero(lab, 2 * c - 100, c / 2, false)) < 0
	    || (status = put(lab, 3 * c - 7, c + 14, 0xa3)) < 0
	    || (status = put(lab, 5 * c + c / 4 - 3, c / 8, 0xa4)) < 0
	    || (status = zero(lab, 6 * c, c + 300, false)) < 0
	    || (status = put(lab, 6 * c + 100, 100, 0xa5)) < 0
	    || (status = zero(lab, 6 * c + 150, 10, true)) < 0
	    || (status = put(lab, 8 * c + 1, 5, 0xa6)) < 0
	    || (status = put(lab, lab->disk_bytes - 9, 9, 0xa7)) < 0
	    || (status = grow(lab, lab->disk_bytes + 2 * c)) < 0
	    || (status = put(lab, lab->new_bytes - 9, 9, 0xa8)) < 0) {
		free(seen);
		return status;
	}
	status = qc_txn_read(lab->txn, qc_guest(0), seen, lab->new_bytes, &lab->err);
	if (status == 0)
		assert_memory_equal(seen, lab->new, lab->new_bytes);
	free(seen);
	return status;
}

static inline int end(struct lab *lab, int status)
{
	if (status == 0)
		status = qc_txn_commit(lab->txn, &lab->report, &lab->err);
	else if (lab->txn)
		qc_txn_abort(lab->txn);
	lab->txn = NULL;
	qc_image_close(lab->image);
	lab->image = NULL;
	return status;
}

static inline void set_up(struct lab *lab, const struct mode *mode)
{
	bool marked;

	*lab = (struct lab){.mode = mode, .log.fail_at = SIZE_MAX};
	build_image(lab);
	build_data(lab);
	lab->old = calloc(1, GUEST_MAX);
	lab->new = calloc(1, GUEST_MAX);
	open_lab(lab, lab->before);
	look(lab->file[IMAGE], lab->file[DATA], lab->old, lab->disk_bytes, &marked);
	assert_false(marked);
}

static inline void tear_down(struct lab *lab)
{
	close_lab(lab);
	two_log_clear(&lab->log);
	for (int f = 0; f < FILES; f++)
		free(lab->before[f].bytes);
	free(lab->old);
	free(lab->new);
}
