// SPDX-License-Identifier: MIT
#include "cmd/info_value.h"

#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cmd/emit.h"
#include "image/reference.h"
#include "io/file_posix.h"

/* The size of the disk as qemu-img counts it, in whole sectors. */
static uint64_t virtual_bytes(const struct qc_layer *layer)
{
	return qc_align_down(layer->disk_bytes, QC_SECTOR_BYTES);
}

json_t *info_value_snapshots(const struct qc_snapshots *snapshots)
{
	json_t *list = json_array();

	for (size_t i = 0; i < snapshots->count; i++) {
		const struct qc_snapshot *s = &snapshots->list[i];
		json_t *value;

		value = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "id", emit_text(s->id), "name",
				  emit_text(s->name), "vm-state-size",
				  emit_number(s->vm_state_bytes), "date-sec",
				  emit_number(s->date_sec), "date-nsec", emit_number(s->date_nsec),
				  "vm-clock-sec", emit_number(s->vm_clock_nsec / 1000000000),
				  "vm-clock-nsec", emit_number(s->vm_clock_nsec % 1000000000));
		/* All ones say that instructions were not counted. */
		if (s->has_icount && s->icount != UINT64_MAX)
			json_object_set_new(value, "icount", emit_number(s->icount));
		json_array_append_new(list, value);
	}
	return list;
}

static json_t *bitmaps_value(const struct qc_bitmaps *bitmaps)
{
	json_t *list = json_array();

	for (size_t i = 0; i < bitmaps->count; i++) {
		const struct qc_bitmap *b = &bitmaps->list[i];
		json_t *flags = json_array();

		if ((b->flags & QC_BITMAP_IN_USE) != 0)
			json_array_append_new(flags, json_string("in-use"));
		if ((b->flags & QC_BITMAP_AUTO) != 0)
			json_array_append_new(flags, json_string("auto"));
		json_array_append_new(list,
				      json_pack("{s:o,s:o,s:o}", "flags", flags, "name",
						emit_text(b->name), "granularity",
						emit_number(UINT64_C(1) << b->granularity_bits)));
	}
	return list;
}

static void add_version_3(const struct qc_image *image, json_t *data)
{
	const struct qc_header *header = &image->header;
	bool external = image->geometry.external_data;

	if (image->data_file_name)
		json_object_set_new(data, "data-file", emit_text(image->data_file_name));
	if (external)
		json_object_set_new(data, "data-file-raw",
				    json_boolean((header->autoclear & QC_AUTOCLEAR_DATA_RAW) != 0));
	json_object_set_new(data, "corrupt",
			    json_boolean((header->incompatible & QC_INCOMPAT_CORRUPT) != 0));
	json_object_set_new(data, "extended-l2", json_boolean(image->geometry.extended_l2));
}

static int specific_value(const struct qc_image *image, json_t **ret, struct qc_err *err)
{
	const struct qc_header *header = &image->header;
	json_t *encrypt = NULL;
	json_t *data;
	int rc;

	if (header->crypt_method != QC_CRYPT_NONE) {
		rc = info_value_encrypt(image, &encrypt, err);
		if (rc < 0)
			return rc;
	}
	data = json_pack("{s:s,s:s}", "compat", header->version == 2 ? "0.10" : "1.1",
			 "compression-type",
			 header->compression == QC_COMPRESSION_ZSTD ? "zstd" : "zlib");
	if (header->version >= 3)
		json_object_set_new(data, "lazy-refcounts",
				    json_boolean((header->compatible & QC_COMPAT_LAZY_REFCOUNTS)
						 != 0));
	if (image->bitmaps.count > 0)
		json_object_set_new(data, "bitmaps", bitmaps_value(&image->bitmaps));
	json_object_set_new(data, "refcount-bits",
			    emit_number(UINT64_C(1) << header->refcount_order));
	if (encrypt)
		json_object_set_new(data, "encrypt", encrypt);
	if (header->version >= 3)
		add_version_3(image, data);
	*ret = json_pack("{s:s,s:o}", "type", "qcow2", "data", data);
	return 0;
}

/* Where the backing file would be looked for. Names with a protocol stand for themselves. */
static json_t *full_backing_name(const struct qc_layer *layer)
{
	const char *name = layer->image->backing_name;
	QC_AUTOFREE char *path = NULL;
	struct qc_err ignored;

	if (strncmp(name, "file:", 5) == 0
	    || qc_reference_resolve(layer->path, name, &path, &ignored) < 0)
		return emit_text(name);
	return emit_text(path);
}

static int add_image(const struct qc_layer *layer, json_t *info, struct qc_err *err)
{
	const struct qc_image *image = layer->image;
	json_t *specific;
	int rc;

	if (image->header.crypt_method != QC_CRYPT_NONE)
		json_object_set_new(info, "encrypted", json_true());
	json_object_set_new(info, "cluster-size", emit_number(image->geometry.cluster_bytes));
	if (image->backing_name) {
		json_object_set_new(info, "backing-filename", emit_text(image->backing_name));
		json_object_set_new(info, "full-backing-filename", full_backing_name(layer));
		if (image->extensions.backing_format[0] != '\0')
			json_object_set_new(info, "backing-filename-format",
					    emit_text(image->extensions.backing_format));
	}
	if (image->snapshots.count > 0)
		json_object_set_new(info, "snapshots", info_value_snapshots(&image->snapshots));
	rc = specific_value(image, &specific, err);
	if (rc < 0)
		return rc;
	json_object_set_new(info, "format-specific", specific);
	return 0;
}

int info_value(const struct qc_layer *layer, json_t **ret, struct qc_err *err)
{
	const struct qc_image *image = layer->image;
	uint64_t occupied;
	json_t *info;
	int rc;

	info = json_pack("{s:o,s:s,s:o,s:b}", "filename", emit_text(layer->path), "format",
			 image ? "qcow2" : "raw", "virtual-size", emit_number(virtual_bytes(layer)),
			 "dirty-flag",
			 image && (image->header.incompatible & QC_INCOMPAT_DIRTY) != 0);
	if (qc_file_posix_occupied(layer->file, &occupied))
		json_object_set_new(info, "actual-size", emit_number(occupied));
	if (image) {
		rc = add_image(layer, info, err);
		if (rc < 0) {
			json_decref(info);
			return rc;
		}
	}
	*ret = info;
	return 0;
}
