// SPDX-License-Identifier: MIT
#include "crash/content.h"

#include <xxhash.h>

#include "base/checked.h"
#include "check/check.h"
#include "crash/folder.h"
#include "crash/must.h"
#include "image/image.h"
#include "image/read.h"

#define READ_BYTES ((size_t)1 << 16)

static void take_finding(void *context, const struct qc_finding *finding)
{
	(void)context, (void)finding;
}

static void check(struct qc_file *file, struct content *ret)
{
	const struct qc_finding_sink sink = {take_finding, NULL};
	const struct qc_check_options options = {0};
	struct qc_check_result result;
	struct qc_err err;

	if (qc_check_run(file, &options, &sink, &result, &err) < 0) {
		ret->corruptions++;
		return;
	}
	ret->leaks = result.leaks;
	ret->compressed = result.compressed_clusters;
	ret->corruptions = result.corruptions + result.check_errors + (result.completed ? 0 : 1);
}

static bool digest_view(const struct qc_view *view, XXH64_state_t *digest)
{
	static uint8_t buffer[READ_BYTES];
	struct qc_err err;
	size_t now;

	XXH64_update(digest, &view->disk_bytes, sizeof(view->disk_bytes));
	for (uint64_t at = 0; at < view->disk_bytes; at += now) {
		now = (size_t)qc_min(READ_BYTES, view->disk_bytes - at);
		if (qc_read(view, qc_guest(at), buffer, now, &err) < 0)
			return false;
		XXH64_update(digest, buffer, now);
	}
	return true;
}

bool content_is_disk(const struct content *content, struct qc_file *data)
{
	XXH64_state_t *digest = XXH64_createState();
	static uint8_t buffer[READ_BYTES];
	struct qc_err err;
	bool same = true;
	size_t now;

	must(digest);
	XXH64_reset(digest, 0);
	XXH64_update(digest, &data->bytes, sizeof(data->bytes));
	for (uint64_t at = 0; same && at < data->bytes; at += now) {
		now = (size_t)qc_min(READ_BYTES, data->bytes - at);
		same = qc_file_read(data, at, buffer, now, &err) == 0;
		XXH64_update(digest, buffer, now);
	}
	same = same && XXH64_digest(digest) == content->active;
	XXH64_freeState(digest);
	return same;
}

/* Everything that a snapshot says of itself but when it was made. */
static void digest_words(const struct qc_snapshot *snapshot, XXH64_state_t *digest)
{
	const uint64_t numbers[] = {
		snapshot->vm_clock_nsec, snapshot->vm_state_bytes, snapshot->disk_bytes,
		snapshot->icount,	 snapshot->extra_bytes,
	};

	XXH64_update(digest, snapshot->id, snapshot->id_bytes);
	XXH64_update(digest, snapshot->name, snapshot->name_bytes);
	XXH64_update(digest, numbers, sizeof(numbers));
	XXH64_update(digest, snapshot->extra, snapshot->extra_bytes);
}

static void digest_dates(const struct qc_image *image, XXH64_state_t *digest)
{
	for (size_t i = 0; i < image->snapshots.count; i++) {
		const struct qc_snapshot *snapshot = &image->snapshots.list[i];
		const uint32_t date[] = {snapshot->date_sec, snapshot->date_nsec};

		XXH64_update(digest, date, sizeof(date));
	}
}

static bool digest_snapshot(const struct qc_layer *layer, const struct qc_snapshot *snapshot,
			    XXH64_state_t *digest)
{
	struct qc_view view;
	struct qc_err err;
	bool ok;

	digest_words(snapshot, digest);
	if (qc_view_snapshot(layer, snapshot, &view, &err) < 0)
		return false;
	ok = digest_view(&view, digest);
	qc_view_clear(&view);
	return ok;
}

static bool digest_bitmap(const struct qc_image *image, const struct qc_bitmap *bitmap,
			  XXH64_state_t *digest)
{
	size_t cluster = (size_t)image->geometry.cluster_bytes;
	uint8_t *bytes = malloc(cluster);
	struct qc_err err;
	bool ok = true;

	must(bytes);
	XXH64_update(digest, bitmap->name, bitmap->name_bytes);
	XXH64_update(digest, &bitmap->flags, sizeof(bitmap->flags));
	for (uint64_t i = 0; ok && i < bitmap->table_entries; i++) {
		uint64_t entry;

		ok = qc_file_read(image->file, bitmap->table.byte + i * 8, &entry, 8, &err) == 0;
		entry = ok ? qc_load_be64(&entry) : 0;
		if (entry & QC_BITMAP_TABLE_OFFSET_MASK) {
			ok = qc_file_read(image->file, entry & QC_BITMAP_TABLE_OFFSET_MASK, bytes,
					  cluster, &err)
			     == 0;
			XXH64_update(digest, bytes, cluster);
		} else {
			XXH64_update(digest, &entry, sizeof(entry));
		}
	}
	free(bytes);
	return ok;
}

static bool digest_all(const struct qc_layer *layer, struct content *ret, XXH64_state_t *digest)
{
	const struct qc_image *image = layer->image;
	struct qc_view view;

	ret->autoclear = image->header.autoclear;
	qc_view_active(layer, &view);
	XXH64_reset(digest, 0);
	if (!digest_view(&view, digest))
		return false;
	ret->active = XXH64_digest(digest);
	XXH64_reset(digest, 0);
	for (size_t i = 0; i < image->snapshots.count; i++)
		if (!digest_snapshot(layer, &image->snapshots.list[i], digest))
			return false;
	for (size_t i = 0; i < image->bitmaps.count; i++)
		if (!digest_bitmap(image, &image->bitmaps.list[i], digest))
			return false;
	ret->rest = XXH64_digest(digest);
	digest_dates(image, digest);
	XXH64_update(digest, &ret->active, sizeof(ret->active));
	ret->digest = XXH64_digest(digest);
	return true;
}

void content_of_layer(const struct qc_layer *layer, struct content *ret)
{
	XXH64_state_t *digest = XXH64_createState();

	must(digest);
	*ret = (struct content){0};
	ret->readable = digest_all(layer, ret, digest);
	check(layer->file, ret);
	XXH64_freeState(digest);
}

/* Opens the image, and the base in the scratch folder that its header names. */
static bool open_layer(struct qc_file *file, struct qc_layer *layer)
{
	const struct qc_chain_open how = {.policy = QC_CHAIN_ANY};
	struct qc_err err;

	layer->file = file;
	if (qc_image_open(file, NULL, &layer->image, &err) < 0)
		return false;
	layer->disk_bytes = layer->image->header.disk_bytes;
	return !layer->image->backing_name
	       || qc_chain_open_backing(layer->image, folder_path("image"), &how, &layer->backing,
					&err)
			  == 0;
}

void content_of(struct qc_file *file, struct content *ret)
{
	struct qc_layer layer = {0};

	*ret = (struct content){0};
	if (open_layer(file, &layer))
		content_of_layer(&layer, ret);
	else
		check(file, ret);
	qc_layer_close(layer.backing);
	qc_image_close(layer.image);
}
