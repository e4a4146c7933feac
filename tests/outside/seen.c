// SPDX-License-Identifier: MIT
#include "outside/seen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "format/features.h"
#include "image/chain.h"
#include "image/data_file.h"
#include "io/file_posix.h"

/* Takes the data file, too, if there is one. */
static bool open_data(struct qc_layer *layer, const char *path)
{
	const struct qc_file_open how = {.lock = QC_LOCK_NONE};
	struct qc_err err;

	if (!layer->image->geometry.external_data)
		return true;
	if (qc_data_file_open(layer->image, path, QC_CHAIN_ANY, &how, NULL, &layer->data, &err) < 0)
		return false;
	layer->image->data = layer->data;
	return true;
}

static void see_layer(struct qc_layer *layer, const char *path, struct seen *ret)
{
	const struct qc_chain_open how = {.file = {.lock = QC_LOCK_NONE}, .policy = QC_CHAIN_ANY};
	const struct qc_image *image = layer->image;
	struct qc_err err;

	layer->disk_bytes = image->header.disk_bytes;
	ret->pending = image->geometry.external_data
		       && (image->header.incompatible & QC_INCOMPAT_CORRUPT) != 0;
	if (image->backing_name)
		ret->backing = XXH64(image->backing_name, strlen(image->backing_name), 1);
	if (!open_data(layer, path)
	    || qc_chain_open_backing(image, path, &how, &layer->backing, &err) < 0) {
		content_of(layer->file, &ret->content);
		ret->content.readable = false;
		return;
	}
	content_of_layer(layer, &ret->content);
	if (ret->pending)
		ret->content.readable = false;
	else if (qc_data_file_is_raw(image) && !content_is_disk(&ret->content, layer->data))
		ret->content.corruptions++;
}

void seen_in(struct qc_file *file, const char *path, struct seen *ret)
{
	struct qc_layer layer = {.file = file};
	struct qc_err err;

	*ret = (struct seen){.there = true};
	if (qc_image_open(file, NULL, &layer.image, &err) < 0) {
		content_of(file, &ret->content);
		return;
	}
	see_layer(&layer, path, ret);
	qc_layer_close(layer.backing);
	qc_image_close(layer.image);
	qc_file_close(layer.data);
}

void seen_at(const char *path, struct seen *ret)
{
	const struct qc_file_open how = {.lock = QC_LOCK_NONE};
	struct qc_file *file;
	struct qc_err err;

	*ret = (struct seen){0};
	if (access(path, F_OK) < 0)
		return;
	ret->there = true;
	if (qc_file_posix_open(path, &how, &file, &err) < 0)
		return;
	seen_in(file, path, ret);
	qc_file_close(file);
}

bool seen_same(const struct seen *a, const struct seen *b)
{
	return a->there == b->there && a->pending == b->pending && a->backing == b->backing
	       && a->content.readable == b->content.readable
	       && a->content.active == b->content.active && a->content.rest == b->content.rest
	       && a->content.leaks == b->content.leaks
	       && a->content.corruptions == b->content.corruptions;
}

bool seen_sound(const struct seen *seen)
{
	return !seen->there || content_is_sound(&seen->content);
}

const char *seen_text(const struct seen *seen)
{
	static char text[160];

	snprintf(text, sizeof(text),
		 "%s, %" PRIu64 " leaks, %" PRIu64 " corruptions, contents %016" PRIx64,
		 !seen->there		  ? "not there"
		 : seen->pending	  ? "with something to redo"
		 : seen->content.readable ? "readable"
					  : "not readable",
		 seen->content.leaks, seen->content.corruptions, seen->content.digest);
	return text;
}
