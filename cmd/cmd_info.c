// SPDX-License-Identifier: MIT
/*
 * info: what an image says about itself. Opens the one file and no other, unless the whole chain
 * is asked for; looks at metadata only, so encrypted images need no key.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lock_down.h"
#include "cmd/emit.h"
#include "cmd/info_value.h"

enum {
	KEY_BACKING_CHAIN = 0x100,
};

static const struct argp_option options[] = {
	{"backing-chain", KEY_BACKING_CHAIN, NULL, 0, "also all images below, one after the other",
	 0},
	{0},
};

static int take(void *context, int key, const char *value, struct qc_err *err)
{
	bool *whole_chain = context;

	(void)key;
	(void)value;
	(void)err;
	*whole_chain = true;
	return 0;
}

static const struct command_syntax syntax = {
	.arguments = "IMAGE",
	.least = 1,
	.most = 1,
	.doc = "Shows what IMAGE says about itself.",
	.options = options,
	.take = take,
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_FORCE_SHARE | COMMON_CHAIN
		   | COMMON_NO_SANDBOX,
};

/* One image as a layer with nothing below it, whatever it refers to. */
static int open_alone(const char *path, const struct qc_chain_open *how,
		      const struct common_options *common, struct qc_layer **ret,
		      struct qc_err *err)
{
	struct qc_layer *layer = calloc(1, sizeof(*layer));
	int rc;

	if (!layer)
		return qc_fail_memory(err);
	layer->path = strdup(path);
	rc = layer->path ? 0 : qc_fail_memory(err);
	if (rc == 0)
		rc = qc_file_posix_open(path, &how->file, &layer->file, err);
	if (rc == 0) {
		lock_down(common);
		rc = qc_image_open(layer->file, NULL, &layer->image, err);
	}
	if (rc < 0) {
		qc_layer_close(layer);
		return rc;
	}
	layer->disk_bytes = layer->image->header.disk_bytes;
	*ret = layer;
	return 0;
}

static int collect(const struct qc_layer *top, json_t **ret, struct qc_err *err)
{
	json_t *list = json_array();
	json_t *value;
	int rc;

	for (const struct qc_layer *layer = top; layer; layer = layer->backing) {
		rc = info_value(layer, &value, err);
		if (rc < 0) {
			json_decref(list);
			return rc;
		}
		if (json_array_append_new(list, value) < 0) {
			json_decref(list);
			return qc_fail_memory(err);
		}
	}
	*ret = list;
	return 0;
}

static void print_list(const json_t *list)
{
	const json_t *info;
	size_t index;

	json_array_foreach(list, index, info)
	{
		if (index > 0)
			putchar('\n');
		info_print(info);
	}
}

/* Consumes the list. */
static int show(const struct command_line *line, json_t *list, bool whole_chain, struct qc_err *err)
{
	int rc = 0;

	if (line->common.quiet)
		json_decref(list);
	else if (line->common.output == OUTPUT_HUMAN) {
		print_list(list);
		json_decref(list);
	} else if (whole_chain) {
		rc = emit_json(list, err);
	} else {
		rc = emit_json(json_incref(json_array_get(list, 0)), err);
		json_decref(list);
	}
	return rc;
}

int cmd_info(int argc, char **argv)
{
	struct qc_chain_open how = {.metadata_only = true};
	bool whole_chain = false;
	struct command_line line;
	struct qc_layer *layer;
	json_t *list = NULL;
	struct qc_err err;
	int rc;

	if (!command_line_parse(&syntax, argc, argv, &whole_chain, &line))
		return line.status;
	how.file.lock = line.common.force_share ? QC_LOCK_FORCE : QC_LOCK_READ;
	how.policy = line.common.chain;
	rc = whole_chain ? qc_chain_open(line.argument[0], &how, &layer, &err)
			 : open_alone(line.argument[0], &how, &line.common, &layer, &err);
	if (rc < 0) {
		common_options_offer_share(&err);
		return command_fail(line.name, line.argument[0], &err);
	}
	if (whole_chain)
		lock_down(&line.common);
	rc = collect(layer, &list, &err);
	qc_layer_close(layer);
	if (rc == 0)
		rc = show(&line, list, whole_chain, &err);
	return rc < 0 ? command_fail(line.name, line.argument[0], &err) : EXIT_DONE;
}
