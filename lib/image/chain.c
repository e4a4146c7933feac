// SPDX-License-Identifier: MIT
/*
 * The chain is walked from the top with a loop, so that hostile chains cost no stack, and each
 * layer is checked before the one below it is looked for.
 */
#include "image/chain.h"

#include <stdlib.h>
#include <string.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "format/disk_layout.h"
#include "format/limits.h"
#include "image/data_file.h"

/* One walk down a chain. */
struct walk {
	const char *top_path; /* what the policy and the first relative name go by */
	const struct qc_chain_open *how;
	bool has_top;
	struct qc_file_identity top;
	struct qc_layer *below; /* opened so far, the highest first */
	size_t depth;		/* images so far, the top included */
};

enum layer_format {
	LAYER_RAW,
	LAYER_QCOW2,
	LAYER_PROBED_QCOW2,
};

int qc_image_require_readable(const struct qc_image *image, struct qc_err *err)
{
	if (image->header.crypt_method != QC_CRYPT_NONE)
		return qc_fail(err, QC_E_UNSUPPORTED, "encrypted images cannot be read");
	if (!image->data)
		return qc_fail(err, QC_E_UNSUPPORTED, "its external data file is not open");
	if (image->geometry.external_data
	    && (image->header.incompatible & QC_INCOMPAT_CORRUPT) != 0)
		return qc_fail(
			err, QC_E_FORMAT,
			"the image is marked corrupt, and its data file may be half written; "
			"see qcowtool recover");
	return 0;
}

void qc_layer_close(struct qc_layer *layer)
{
	struct qc_layer *backing;

	for (; layer; layer = backing) {
		backing = layer->backing;
		qc_image_close(layer->image);
		qc_file_close(layer->data);
		qc_file_close(layer->file);
		free(layer->path);
		free(layer);
	}
}

struct qc_file *qc_layer_data(const struct qc_layer *layer)
{
	return layer->image ? layer->image->data : layer->file;
}

const char *qc_layer_data_name(const struct qc_layer *layer)
{
	return layer->data ? layer->image->data_file_name : layer->path;
}

static int probe(struct qc_file *file, enum layer_format *ret, struct qc_err *err)
{
	uint8_t magic[4];
	int status;

	status = qc_file_read(file, 0, magic, sizeof(magic), err);
	if (status < 0)
		return status;
	*ret = qc_load_be32(magic) == QC_MAGIC ? LAYER_PROBED_QCOW2 : LAYER_RAW;
	return 0;
}

/* The format of a file that is referred to as `recorded` ("": not at all). */
static int choose_format(struct qc_file *file, const char *recorded, enum layer_format *ret,
			 struct qc_err *err)
{
	if (recorded[0] == '\0')
		return probe(file, ret, err);
	if (strcmp(recorded, "qcow2") == 0)
		*ret = LAYER_QCOW2;
	else if (strcmp(recorded, "raw") == 0 || strcmp(recorded, "file") == 0
		 || strcmp(recorded, "host_device") == 0)
		*ret = LAYER_RAW;
	else
		return qc_fail(err, QC_E_UNSUPPORTED, "format '%s' is not supported", recorded);
	return 0;
}

/* The file that guest bytes of the layer are read from, unless that is the image itself. */
static int open_data(struct qc_layer *layer, const char *top_path, const struct qc_chain_open *how,
		     struct qc_err *err)
{
	const struct qc_file_open file = {
		.lock = how->file.lock == QC_LOCK_FORCE ? QC_LOCK_FORCE : QC_LOCK_READ,
	};
	int status;

	if (!layer->image->geometry.external_data)
		return 0;
	status = qc_data_file_open(layer->image, top_path, how->policy, &file, NULL, &layer->data,
				   err);
	layer->image->data = layer->data;
	return status;
}

static int open_image(struct qc_layer *layer, enum layer_format format, const char *top_path,
		      const struct qc_chain_open *how, struct qc_err *err)
{
	int status;

	status = qc_image_open(layer->file, NULL, &layer->image, err);
	if (status < 0)
		return status;
	if (format == LAYER_PROBED_QCOW2 && layer->image->backing_name)
		return qc_fail(err, QC_E_POLICY,
			       "its format is not recorded, so its own backing file is not opened");
	if (format == LAYER_PROBED_QCOW2 && layer->image->geometry.external_data)
		return qc_fail(err, QC_E_POLICY,
			       "its format is not recorded, so its data file is not opened");
	layer->disk_bytes = layer->image->header.disk_bytes;
	if (how->metadata_only)
		return 0;
	status = open_data(layer, top_path, how, err);
	if (status < 0 || (how->encrypted && layer->image->header.crypt_method != QC_CRYPT_NONE))
		return status;
	return qc_image_require_readable(layer->image, err);
}

/* Finds out what the open file of a layer is. */
static int set_up_layer(const struct walk *walk, struct qc_layer *layer, const char *recorded,
			struct qc_err *err)
{
	enum layer_format format = LAYER_RAW;
	int status;

	status = choose_format(layer->file, recorded, &format, err);
	if (status < 0)
		return status;
	if (format != LAYER_RAW)
		return open_image(layer, format, walk->top_path, walk->how, err);
	/* Disks have whole sectors; the file's last one is filled up with zeroes. */
	layer->disk_bytes =
		qc_align_up(qc_min(layer->file->bytes, QC_DISK_BYTES_MAX - QC_SECTOR_BYTES),
			    QC_SECTOR_BYTES);
	return 0;
}

static int new_layer(const char *path, struct qc_layer **ret, struct qc_err *err)
{
	struct qc_layer *layer = calloc(1, sizeof(*layer));

	if (!layer)
		return qc_fail_memory(err);
	layer->path = strdup(path);
	if (!layer->path) {
		free(layer);
		return qc_fail_memory(err);
	}
	*ret = layer;
	return 0;
}

static bool same_file(const struct qc_file_identity *a, const struct qc_file_identity *b)
{
	return a->device == b->device && a->inode == b->inode;
}

static int refuse_loop(const struct walk *walk, const struct qc_file *file, struct qc_err *err)
{
	struct qc_file_identity self, other;
	bool loop;

	if (!qc_file_posix_identity(file, &self))
		return 0;
	loop = walk->has_top && same_file(&self, &walk->top);
	for (const struct qc_layer *layer = walk->below; layer; layer = layer->backing)
		if (qc_file_posix_identity(layer->file, &other))
			loop = loop || same_file(&self, &other);
	if (!loop)
		return 0;
	return qc_fail(err, QC_E_FORMAT, "the chain of backing files is a loop");
}

/*
 * A file that the top image holds for writing is locked against ourselves too, which would hide a
 * loop behind words about another process. So a locked file is looked at once more, without locks.
 */
static int explain_lock(const struct walk *walk, const char *path, struct qc_err *err)
{
	const struct qc_file_open peek = {.lock = QC_LOCK_NONE};
	struct qc_err ignored, loop;
	struct qc_file *file;

	if (err->code != QC_E_LOCKED || qc_file_posix_open(path, &peek, &file, &ignored) < 0)
		return -(int)err->code;
	if (refuse_loop(walk, file, &loop) < 0)
		*err = loop;
	qc_file_close(file);
	return -(int)err->code;
}

static int open_layer(const struct walk *walk, struct qc_layer *layer, const char *recorded,
		      struct qc_err *err)
{
	const struct qc_file_open how = {
		.lock = walk->how->file.lock == QC_LOCK_FORCE ? QC_LOCK_FORCE : QC_LOCK_READ,
	};
	int status;

	status = qc_file_posix_open(layer->path, &how, &layer->file, err);
	if (status < 0)
		return explain_lock(walk, layer->path, err);
	status = refuse_loop(walk, layer->file, err);
	if (status < 0)
		return status;
	return set_up_layer(walk, layer, recorded, err);
}

/* Opens the file that `image`, which is at `image_path`, names. */
static int open_backing(const struct walk *walk, const struct qc_image *image,
			const char *image_path, struct qc_layer **ret, struct qc_err *err)
{
	struct qc_layer *layer = NULL;
	char *path = NULL;
	int status;

	if (walk->depth >= QC_CHAIN_DEPTH_MAX)
		return qc_fail(err, QC_E_UNSUPPORTED, "the chain is longer than %u images",
			       QC_CHAIN_DEPTH_MAX);
	status = qc_reference_resolve(image_path, image->backing_name, &path, err);
	if (status < 0)
		return status;
	status = qc_reference_allow(walk->how->policy, walk->top_path, path, err);
	if (status == 0)
		status = new_layer(path, &layer, err);
	free(path);
	if (status < 0)
		return status;
	status = open_layer(walk, layer, image->extensions.backing_format, err);
	if (status < 0) {
		qc_layer_close(layer);
		return status;
	}
	*ret = layer;
	return 0;
}

int qc_chain_open_backing(const struct qc_image *image, const char *image_path,
			  const struct qc_chain_open *how, struct qc_layer **ret,
			  struct qc_err *err)
{
	struct walk walk = {.top_path = image_path, .how = how, .depth = 1};
	struct qc_layer **end = &walk.below;
	int status;

	walk.has_top =
		qc_file_posix_identity(how->top_file ? how->top_file : image->file, &walk.top);
	while (image && image->backing_name) {
		status = open_backing(&walk, image, image_path, end, err);
		if (status < 0) {
			qc_err_context(err, "backing file '%s'", image->backing_name);
			qc_layer_close(walk.below);
			return status;
		}
		image = (*end)->image;
		image_path = (*end)->path;
		end = &(*end)->backing;
		walk.depth++;
	}
	*ret = walk.below;
	return 0;
}

/* The layer that a person named, and all below it. */
static int set_up_top(struct qc_layer *top, const struct qc_chain_open *how, struct qc_err *err)
{
	const struct walk walk = {.top_path = top->path, .how = how};
	const char *format = how->format ? how->format : "qcow2";
	enum layer_format probed;
	int status;

	if (format[0] == '\0') {
		status = probe(top->file, &probed, err);
		if (status < 0)
			return status;
		format = probed == LAYER_RAW ? "raw" : "qcow2";
	}
	status = set_up_layer(&walk, top, format, err);
	if (status < 0 || !top->image)
		return status;
	return qc_chain_open_backing(top->image, top->path, how, &top->backing, err);
}

int qc_chain_open(const char *path, const struct qc_chain_open *how, struct qc_layer **ret,
		  struct qc_err *err)
{
	struct qc_layer *top = NULL;
	int status;

	status = new_layer(path, &top, err);
	if (status < 0)
		return status;
	status = qc_file_posix_open(path, &how->file, &top->file, err);
	if (status == 0)
		status = set_up_top(top, how, err);
	if (status < 0) {
		qc_layer_close(top);
		return status;
	}
	*ret = top;
	return 0;
}
