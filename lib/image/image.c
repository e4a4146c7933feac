// SPDX-License-Identifier: MIT
/*
 * Opening: the header first, then, each bounded by what the header says, extensions, names, L1
 * table, snapshots and bitmaps. There is one path for both ways of opening; the difference is the
 * sink. The strict one remembers the first corruption, and each stage ends by asking it.
 */
#include "image/image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/limits.h"
#include "image/table_cache.h"

#define TABLE_CACHE_BYTES (1u << 20)
#define SNAPSHOT_TABLE_FIRST_BYTES 4096u

/* One opening under way. */
struct opening {
	struct qc_image *image;
	const struct qc_finding_sink *findings; /* where all that is found goes */
	bool strict;
	bool refused;
	struct qc_finding first; /* the corruption that refuses it, if so */
};

static void take_strictly(void *context, const struct qc_finding *finding)
{
	struct opening *o = context;

	/* Unknown features are refused by name, as soon as the names are known. */
	if (o->refused || finding->id == QC_FINDING_HEADER_UNKNOWN_INCOMPATIBLE
	    || qc_finding_kind(finding->id)->severity != QC_SEVERITY_CORRUPTION)
		return;
	o->refused = true;
	o->first = *finding;
}

static int verdict(const struct opening *o, struct qc_err *err)
{
	if (!o->refused)
		return 0;
	return qc_fail(err, QC_E_FORMAT, "%s", o->first.message);
}

/*
 * A table could not be decoded at all. Opened strictly that is the end; leniently it is one more
 * finding and the table is empty. Anything but a matter of format is the caller's problem.
 */
static int tolerate(const struct opening *o, int status, enum qc_finding_id id,
		    struct qc_host table, const struct qc_err *err)
{
	if (status == -QC_E_FORMAT && !o->strict) {
		qc_report_at(o->findings, id, table, "%s", err->text);
		return 0;
	}
	return status;
}

static int load_header(struct opening *o, struct qc_err *err)
{
	struct qc_image *image = o->image;
	int status;

	status = qc_file_read(image->file, 0, image->sector0, sizeof(image->sector0), err);
	if (status < 0)
		return status;
	status = qc_header_decode(image->sector0,
				  (size_t)qc_min(image->file->bytes, sizeof(image->sector0)),
				  o->findings, &image->header, err);
	if (status < 0)
		return status;
	qc_header_geometry(&image->header, &image->geometry);
	image->data = image->geometry.external_data ? NULL : image->file;
	return verdict(o, err);
}

/* The bytes [offset, offset + length) of cluster 0 as a string; NULL in *ret if there are none. */
static int take_name(const struct qc_image *image, const uint8_t *cluster0, uint64_t offset,
		     uint64_t length, char **ret, struct qc_err *err)
{
	char *name;

	if (length == 0 || !qc_range_fits(offset, length, image->geometry.cluster_bytes))
		return 0;
	name = malloc((size_t)length + 1);
	if (!name)
		return qc_fail_memory(err);
	memcpy(name, cluster0 + offset, (size_t)length);
	name[length] = '\0';
	*ret = name;
	return 0;
}

static int refuse_unknown_features(const struct qc_image *image, const uint8_t *cluster0,
				   struct qc_err *err)
{
	uint64_t unknown = image->header.incompatible & ~QC_INCOMPAT_KNOWN;
	char name[47];
	uint8_t bit;

	if (unknown == 0)
		return 0;
	bit = (uint8_t)__builtin_ctzll(unknown);
	qc_feature_name(&image->extensions, cluster0, 0, bit, name);
	if (name[0] == '\0')
		return qc_fail(err, QC_E_UNSUPPORTED, "needs unknown feature %u", bit);
	return qc_fail(err, QC_E_UNSUPPORTED, "needs unknown feature %u, '%s'", bit, name);
}

static int load_cluster0(struct opening *o, struct qc_err *err)
{
	struct qc_image *image = o->image;
	const struct qc_header *header = &image->header;
	QC_AUTOFREE uint8_t *cluster0 = NULL;
	int status;

	cluster0 = malloc((size_t)image->geometry.cluster_bytes);
	if (!cluster0)
		return qc_fail_memory(err);
	status = qc_file_read(image->file, 0, cluster0, (size_t)image->geometry.cluster_bytes, err);
	if (status < 0)
		return status;
	status = qc_extensions_decode(header, cluster0,
				      (size_t)qc_min(image->file->bytes,
						     image->geometry.cluster_bytes),
				      o->findings, &image->extensions, err);
	if (status < 0)
		return status;
	if (o->strict) {
		status = refuse_unknown_features(image, cluster0, err);
		if (status < 0)
			return status;
	}
	if (!qc_host_is_none(header->backing_name)
	    && header->backing_name_bytes <= QC_BACKING_NAME_BYTES_MAX) {
		status = take_name(image, cluster0, header->backing_name.byte,
				   header->backing_name_bytes, &image->backing_name, err);
		if (status < 0)
			return status;
	}
	if (image->extensions.has_data_file) {
		status = take_name(image, cluster0, image->extensions.data_file_offset,
				   image->extensions.data_file_bytes, &image->data_file_name, err);
		if (status < 0)
			return status;
	}
	return verdict(o, err);
}

int qc_image_load_l1(struct qc_image *image, struct qc_host table, uint64_t entries, uint64_t **ret,
		     struct qc_err *err)
{
	QC_AUTOFREE uint64_t *words = NULL;
	size_t bytes;
	int status;

	if (entries > QC_L1_BYTES_MAX / sizeof(uint64_t))
		return qc_fail(err, QC_E_FORMAT, "L1 table of %" PRIu64 " entries is too large",
			       entries);
	if (!qc_is_aligned(table.byte, image->geometry.cluster_bytes)
	    || table.byte > QC_DISK_BYTES_MAX - QC_L1_BYTES_MAX)
		return qc_fail(err, QC_E_FORMAT, "L1 table at %#" PRIx64 " is out of place",
			       table.byte);
	bytes = (size_t)entries * sizeof(uint64_t);
	words = calloc(1, bytes > 0 ? bytes : 1);
	if (!words)
		return qc_fail_memory(err);
	status = qc_file_read_sparse(image->file, table.byte, words, bytes, err);
	if (status < 0)
		return qc_err_context(err, "L1 table");
	for (uint64_t i = 0; i < entries; i++)
		if (words[i] != 0) /* what is not touched is not in memory */
			words[i] = qc_load_be64(&words[i]);
	*ret = qc_steal(&words);
	return 0;
}

static int load_active_l1(struct opening *o, struct qc_err *err)
{
	struct qc_image *image = o->image;
	int status;

	status = qc_image_load_l1(image, image->header.l1, image->header.l1_entries, &image->l1,
				  err);
	return tolerate(o, status, QC_FINDING_HEADER_L1_PLACE, image->header.l1, err);
}

/*
 * The table says nowhere how long it is. Reads until the decoder has seen its end, and hands over
 * the bytes.
 */
static int read_snapshot_table(const struct qc_image *image, uint8_t **ret, uint64_t *ret_bytes,
			       struct qc_err *err)
{
	const struct qc_header *header = &image->header;
	uint64_t needed = qc_max(SNAPSHOT_TABLE_FIRST_BYTES, (uint64_t)header->snapshots * 64);
	QC_AUTOFREE uint8_t *bytes = NULL;
	struct qc_snapshots ignored = {0};
	uint64_t length = 0;
	int status;

	while (needed > length) {
		/* Twice as much each time, so that the work stays in proportion to the table. */
		length = qc_min(qc_max(needed, length * 2), QC_SNAPSHOT_TABLE_BYTES_MAX);
		if (needed > length)
			return qc_fail(err, QC_E_FORMAT, "the snapshot table is too large");
		free(qc_steal(&bytes));
		bytes = malloc((size_t)length);
		if (!bytes)
			return qc_fail_memory(err);
		status = qc_file_read(image->file, header->snapshot_table.byte, bytes,
				      (size_t)length, err);
		if (status < 0)
			return status;
		needed = 0;
		status = qc_snapshots_decode(&image->geometry, bytes, (size_t)length,
					     header->snapshots, &qc_findings_unheard, &ignored,
					     &needed, err);
		if (status < 0)
			return status;
		qc_snapshots_clear(&ignored);
		ignored = (struct qc_snapshots){0};
	}
	*ret = qc_steal(&bytes);
	*ret_bytes = length;
	return 0;
}

static int decode_snapshot_table(struct opening *o, struct qc_err *err)
{
	struct qc_image *image = o->image;
	QC_AUTOFREE uint8_t *bytes = NULL;
	uint64_t length = 0, needed = 0;
	int status;

	if (image->header.snapshots > QC_SNAPSHOTS_MAX)
		return qc_fail(err, QC_E_FORMAT, "%" PRIu32 " snapshots are too many",
			       image->header.snapshots);
	if (!qc_is_aligned(image->header.snapshot_table.byte, image->geometry.cluster_bytes)
	    || image->header.snapshot_table.byte > QC_DISK_BYTES_MAX - QC_SNAPSHOT_TABLE_BYTES_MAX)
		return qc_fail(err, QC_E_FORMAT, "snapshot table at %#" PRIx64 " is out of place",
			       image->header.snapshot_table.byte);
	status = read_snapshot_table(image, &bytes, &length, err);
	if (status < 0)
		return status;
	return qc_snapshots_decode(&image->geometry, bytes, (size_t)length, image->header.snapshots,
				   o->findings, &image->snapshots, &needed, err);
}

static int load_snapshots(struct opening *o, struct qc_err *err)
{
	int status;

	if (o->image->header.snapshots == 0)
		return 0;
	status = decode_snapshot_table(o, err);
	status = tolerate(o, status, QC_FINDING_SNAPSHOT_MALFORMED, o->image->header.snapshot_table,
			  err);
	return status < 0 ? status : verdict(o, err);
}

static int decode_bitmap_directory(struct opening *o, struct qc_err *err)
{
	struct qc_image *image = o->image;
	const struct qc_extensions *extensions = &image->extensions;
	QC_AUTOFREE uint8_t *bytes = NULL;
	size_t length;
	int status;

	if (extensions->bitmap_directory_bytes > QC_BITMAP_DIRECTORY_BYTES_MAX
	    || extensions->bitmaps > QC_BITMAPS_MAX)
		return qc_fail(err, QC_E_FORMAT, "the bitmap directory is too large");
	if (extensions->bitmap_directory.byte > QC_DISK_BYTES_MAX - QC_BITMAP_DIRECTORY_BYTES_MAX)
		return qc_fail(err, QC_E_FORMAT, "bitmap directory at %#" PRIx64 " is out of place",
			       extensions->bitmap_directory.byte);
	length = (size_t)extensions->bitmap_directory_bytes;
	bytes = calloc(1, length > 0 ? length : 1);
	if (!bytes)
		return qc_fail_memory(err);
	status = qc_file_read_sparse(image->file, extensions->bitmap_directory.byte, bytes, length,
				     err);
	if (status < 0)
		return status;
	return qc_bitmaps_decode(bytes, length, extensions->bitmaps, o->findings, &image->bitmaps,
				 err);
}

static int load_bitmaps(struct opening *o, struct qc_err *err)
{
	int status;

	if (!o->image->extensions.has_bitmaps)
		return 0;
	status = decode_bitmap_directory(o, err);
	status = tolerate(o, status, QC_FINDING_BITMAPS_MALFORMED,
			  o->image->extensions.bitmap_directory, err);
	return status < 0 ? status : verdict(o, err);
}

static int open_table_cache(struct qc_image *image, struct qc_err *err)
{
	size_t table_bytes = (size_t)image->geometry.cluster_bytes;
	size_t tables = (size_t)qc_min(qc_max(TABLE_CACHE_BYTES / table_bytes, 2), 64);

	return qc_table_cache_open(image->file, table_bytes, tables, &image->tables, err);
}

static int load(struct opening *o, struct qc_err *err)
{
	int status;

	status = load_header(o, err);
	if (status < 0)
		return status;
	status = load_cluster0(o, err);
	if (status < 0)
		return status;
	status = load_active_l1(o, err);
	if (status < 0)
		return status;
	status = load_snapshots(o, err);
	if (status < 0)
		return status;
	status = load_bitmaps(o, err);
	if (status < 0)
		return status;
	return open_table_cache(o->image, err);
}

int qc_image_open(struct qc_file *file, const struct qc_finding_sink *findings,
		  struct qc_image **ret, struct qc_err *err)
{
	struct opening o = {.findings = findings, .strict = !findings};
	const struct qc_finding_sink strict = {.take = take_strictly, .context = &o};
	int status;

	if (o.strict)
		o.findings = &strict;
	o.image = calloc(1, sizeof(*o.image));
	if (!o.image)
		return qc_fail_memory(err);
	o.image->file = file;
	status = load(&o, err);
	if (status < 0) {
		qc_image_close(o.image);
		return status;
	}
	*ret = o.image;
	return 0;
}

void qc_image_close(struct qc_image *image)
{
	if (!image)
		return;
	qc_extensions_clear(&image->extensions);
	qc_snapshots_clear(&image->snapshots);
	qc_bitmaps_clear(&image->bitmaps);
	qc_table_cache_close(image->tables);
	qc_codec_close(image->codec);
	free(image->decompressed);
	free(image->backing_name);
	free(image->data_file_name);
	free(image->l1);
	free(image);
}

void qc_image_forget(struct qc_image *image)
{
	qc_table_cache_forget(image->tables);
	image->decompressed_bytes = 0;
}

const struct qc_snapshot *qc_image_find_snapshot(const struct qc_image *image,
						 const char *id_or_name)
{
	const struct qc_snapshots *all = &image->snapshots;

	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->list[i].id, id_or_name) == 0)
			return &all->list[i];
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->list[i].name, id_or_name) == 0)
			return &all->list[i];
	return NULL;
}
