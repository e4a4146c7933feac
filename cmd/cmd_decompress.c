// SPDX-License-Identifier: MIT
/* qcowtool decompress: compressed clusters become plain ones, in place. */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/edit_past.h"
#include "cmd/emit.h"
#include "cmd/interrupt.h"
#include "cmd/progress.h"
#include "cmd/lock_down.h"
#include "cmd/size.h"
#include "ops/decompress.h"

enum {
	KEY_AT = 0x100,
	KEY_LENGTH,
	KEY_BATCH,
};

static const struct argp_option options[] = {
	{"at", KEY_AT, "OFFSET", 0, "begin there instead of at 0", 0},
	{"length", KEY_LENGTH, "LENGTH", 0, "so many bytes instead of all that follow", 0},
	{"batch", KEY_BATCH, "SIZE", 0,
	 "a transaction for each so many bytes of disk, which bounds the extra space; running it "
	 "again goes on where it stopped",
	 0},
	{0},
};

static int take(void *context, int key, const char *value, struct qc_err *err)
{
	struct qc_decompress *d = context;

	switch (key) {
	case KEY_AT:
		return size_parse(value, &d->at, err);
	case KEY_LENGTH:
		d->has_length = true;
		return size_parse(value, &d->length, err);
	default:
		if (size_parse(value, &d->batch_bytes, err) < 0)
			return -(int)err->code;
		return d->batch_bytes ? 0 : qc_fail(err, QC_E_ARGUMENT, "0 bytes are no batch");
	}
}

static const struct command_syntax syntax = {
	.arguments = "IMAGE",
	.least = 1,
	.most = 1,
	.doc = "Makes the compressed clusters of IMAGE plain ones, in place; those of its snapshots "
	       "too. The contents stay what they are.",
	.options = options,
	.take = take,
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_DRY_RUN | COMMON_NO_SYNC
		   | COMMON_TRUST_REFCOUNTS | COMMON_JOBS | COMMON_PROGRESS | COMMON_NO_SANDBOX,
};

struct outcome {
	struct qc_decompress_report report;
	struct qc_edit_past past;
};

static int decompress(const struct command_line *line, struct qc_decompress *d, struct outcome *ret,
		      struct qc_err *err)
{
	const struct qc_edit_options how = {
		.txn =
			{
				.trust_refcounts = line->common.trust_refcounts,
				.stop = interrupt_catch(),
			},
		.no_backing = true,
		.dry_run = line->common.dry_run,
		.no_sync = line->common.no_sync,
		.opened = lock_down_opened,
		.opened_context = &line->common,
	};
	struct progress progress;
	struct qc_edit *edit;
	int status;

	if ((status = qc_edit_open(line->argument[0], &how, &edit, err)) < 0)
		return status;
	ret->past = edit->past;
	progress_init(&progress, line, line->argument[0]);
	d->progress = &progress.base;
	status = qc_decompress(edit, &how, d, &ret->report, err);
	progress_end(&progress);
	qc_edit_close(edit);
	return status;
}

static int print_json(const struct command_line *line, const struct qc_decompress_report *r,
		      struct qc_err *err)
{
	return emit_json(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "filename",
				   emit_text(line->argument[0]), "clusters-expanded",
				   emit_number(r->clusters), "zero-clusters",
				   emit_number(r->zero_clusters), "bytes-read",
				   emit_number(r->bytes_read), "bytes-written",
				   emit_number(r->bytes_written), "transactions",
				   emit_number(r->transactions), "committed",
				   !line->common.dry_run),
			 err);
}

static void print_text(const struct command_line *line, const struct qc_decompress_report *r)
{
	printf("%s: %" PRIu64 " compressed clusters %s expanded, %" PRIu64 " of them zeroes; ",
	       line->argument[0], r->clusters, line->common.dry_run ? "would be" : "are",
	       r->zero_clusters);
	printf("%s read, ", emit_size(r->bytes_read).text);
	printf("%s written\n", emit_size(r->bytes_written).text);
}

int cmd_decompress(int argc, char **argv)
{
	struct outcome o = {.past.recovered = QC_RECOVER_CLEAN};
	struct qc_decompress d = {0};
	struct command_line line;
	struct qc_err err;
	int status;

	if (!command_line_parse(&syntax, argc, argv, &d, &line))
		return line.status;
	d.threads = line.common.jobs;
	status = decompress(&line, &d, &o, &err);
	edit_past_say(&line, line.argument[0], &o.past);
	if (status == 0 && !line.common.quiet) {
		if (line.common.output == OUTPUT_JSON)
			status = print_json(&line, &o.report, &err);
		else
			print_text(&line, &o.report);
	}
	return status < 0 ? command_fail(line.name, line.argument[0], &err) : EXIT_DONE;
}
