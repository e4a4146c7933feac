// SPDX-License-Identifier: MIT
#include "outside/seen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "image/chain.h"
#include "io/file_posix.h"

void seen_in(struct qc_file *file, const char *path, struct seen *ret)
{
	const struct qc_chain_open how = {.file = {.lock = QC_LOCK_NONE}, .policy = QC_CHAIN_ANY};
	struct qc_layer layer = {.file = file};
	struct qc_err err;

	*ret = (struct seen){.there = true};
	if (qc_image_open(file, NULL, &layer.image, &err) < 0) {
		content_of(file, &ret->content);
		return;
	}
	layer.disk_bytes = layer.image->header.disk_bytes;
	if (layer.image->backing_name)
		ret->backing =
			XXH64(layer.image->backing_name, strlen(layer.image->backing_name), 1);
	if (qc_chain_open_backing(layer.image, path, &how, &layer.backing, &err) == 0) {
		content_of_layer(&layer, &ret->content);
		qc_layer_close(layer.backing);
	} else {
		content_of(file, &ret->content);
		ret->content.readable = false;
	}
	qc_image_close(layer.image);
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
	return a->there == b->there && a->backing == b->backing
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
		 : seen->content.readable ? "readable"
					  : "not readable",
		 seen->content.leaks, seen->content.corruptions, seen->content.digest);
	return text;
}
