// SPDX-License-Identifier: MIT
#include <string.h>

#include "crash/buffer_file.h"
#include "crash/must.h"
#include "crash/pair.h"
#include "crash/promises.h"
#include "crash/record_file.h"
#include "image/chain.h"
#include "image/data_file.h"
#include "image/read.h"
#include "support/guard_file.h"
#include "txn/recover.h"

/* Where the last state was recovered. */
static struct buffer_file files[CRASH_FILES];

/* The image with its data file and its base; false: it cannot be opened. */
static bool open_layer(struct qc_file *image, struct qc_file *data, struct qc_layer *layer)
{
	const struct qc_chain_open how = {.policy = QC_CHAIN_ANY};
	struct qc_err err;

	*layer = (struct qc_layer){.file = image, .data = data};
	if (qc_image_open(image, NULL, &layer->image, &err) < 0)
		return false;
	layer->image->data = data;
	layer->disk_bytes = layer->image->header.disk_bytes;
	return qc_chain_open_backing(layer->image, folder_path("image"), &how, &layer->backing,
				     &err)
	       == 0;
}

static void close_layer(struct qc_layer *layer)
{
	qc_layer_close(layer->backing);
	qc_image_close(layer->image);
}

static void content_of_files(struct qc_file *image, struct qc_file *data, struct content *ret)
{
	struct qc_layer layer;

	*ret = (struct content){.corruptions = 1};
	if (open_layer(image, data, &layer)) {
		content_of_layer(&layer, ret);
		if (ret->readable && qc_data_file_is_raw(layer.image)
		    && !content_is_disk(ret, data))
			ret->corruptions++;
	}
	close_layer(&layer);
}

void pair_content(const struct image_bytes *image, const struct image_bytes *data,
		  struct sight *sight, struct content *ret)
{
	struct buffer_file image_file, data_file;

	buffer_file_init(&image_file);
	buffer_file_init(&data_file);
	buffer_file_show(&image_file, image->bytes, image->size);
	buffer_file_show(&data_file, data->bytes, data->size);
	image_file.sight = sight;
	data_file.sight = sight;
	data_file.number = 1;
	content_of_files(&image_file.base, &data_file.base, ret);
}

/* NULL, or what goes wrong. */
static const char *recover(struct qc_file *image, struct qc_file *data, struct crash_log *log,
			   bool *ret_doubtful)
{
	struct qc_recover_plan plan;
	struct qc_err err;
	size_t done;

	if (qc_recover_look(image, &plan, &err) < 0)
		return "recovery cannot look";
	if (plan.state == QC_RECOVER_UNDECIDABLE)
		return "recovery cannot decide";
	*ret_doubtful = plan.state == QC_RECOVER_DOUBTFUL;
	qc_recover_resolve(&plan, true);
	plan.data = data;
	if (qc_recover_apply(image, &plan, &err) < 0)
		return "recovery fails";
	done = log->count;
	if (qc_recover_look(image, &plan, &err) < 0 || plan.state != QC_RECOVER_CLEAN)
		return "recovery leaves a journal";
	if (qc_recover_apply(image, &plan, &err) < 0 || log->count != done)
		return "recovery of a clean image changes it";
	return NULL;
}

static void see(struct crash_log *log, struct pair_seen *ret)
{
	struct qc_file *image_record = record_file_open(&files[0].base, 0, log);
	struct qc_file *data_record = record_file_open(&files[1].base, 1, log);
	struct qc_file *image = guard_file_open(image_record, &files[0].base);
	struct qc_file *data = guard_file_open_data(data_record, image);
	struct qc_recover_plan plan;
	struct content before = {0};
	const char *broken;
	struct qc_err err;

	*ret = (struct pair_seen){0};
	ret->pending = qc_recover_look(image, &plan, &err) == 0 && plan.redo;
	if (!ret->pending)
		content_of_files(&files[0].base, &files[1].base, &before);
	ret->why = recover(image, data, log, &ret->doubtful);
	if (ret->pending || log->count > 0)
		content_of_files(&files[0].base, &files[1].base, &ret->content);
	else
		ret->content = before;
	ret->changed = !ret->pending && !content_is_same(&before, &ret->content);
	qc_file_close(data);
	broken = promises_close(image);
	if (broken)
		ret->why = broken;
	qc_file_close(data_record);
	qc_file_close(image_record);
}

static void see_both(const uint8_t *image, uint64_t image_size, const uint8_t *data,
		     uint64_t data_size, struct crash_log *log, struct pair_seen *ret)
{
	struct crash_log none = {0};

	for (size_t i = 0; i < CRASH_FILES; i++)
		if (!files[i].base.ops)
			buffer_file_init(&files[i]);
	buffer_file_set(&files[0], image, image_size);
	buffer_file_set(&files[1], data, data_size);
	see(log ? log : &none, ret);
	crash_log_clear(&none);
}

void pair_see(const struct state *s, struct crash_log *log, struct pair_seen *ret)
{
	see_both(s->bytes, s->size, s->beside->bytes, s->beside->size, log, ret);
}

void pair_see_bytes(const struct pair *pair, struct crash_log *log, struct pair_seen *ret)
{
	see_both(pair->image.bytes, pair->image.size, pair->data.bytes, pair->data.size, log, ret);
}

void pair_recovered(struct pair *ret)
{
	image_bytes_copy(&ret->image, files[0].bytes, files[0].base.bytes);
	image_bytes_copy(&ret->data, files[1].bytes, files[1].base.bytes);
}

void pair_disk(const struct pair *pair, struct image_bytes *ret)
{
	struct buffer_file image, data;
	struct qc_layer layer;
	struct qc_err err;

	buffer_file_init(&image);
	buffer_file_init(&data);
	buffer_file_show(&image, pair->image.bytes, pair->image.size);
	buffer_file_show(&data, pair->data.bytes, pair->data.size);
	must(open_layer(&image.base, &data.base, &layer));
	ret->size = layer.disk_bytes;
	ret->bytes = malloc((size_t)ret->size);
	must(ret->bytes);
	must(qc_read_layer(&layer, qc_guest(0), ret->bytes, (size_t)ret->size, &err) == 0);
	close_layer(&layer);
}
