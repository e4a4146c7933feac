// SPDX-License-Identifier: MIT
/* compare: whether two images show a guest the same, in the words of qemu-img compare. */
#include <inttypes.h>
#include <stdio.h>

#include "base/checked.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/emit.h"
#include "cmd/interrupt.h"
#include "cmd/lock_down.h"
#include "cmd/progress.h"
#include "image/chain.h"
#include "ops/compare.h"

/* What qemu-img compare ends with; 0 and 1 are answers. */
enum compare_status {
	COMPARE_SAME = 0,
	COMPARE_DIFFERENT = 1,
	COMPARE_NOT_OPENED = 2,
	COMPARE_NOT_MAPPED = 3,
	COMPARE_NOT_READ = 4,
};

enum {
	KEY_FORMAT = 'f',
	KEY_OTHER_FORMAT = 'F',
	KEY_STRICT = 's',
};

struct compare_options {
	const char *format[2];
	bool strict;
};

static const struct argp_option options[] = {
	{"format", KEY_FORMAT, "FORMAT", 0, "of IMAGE1: qcow2 or raw; by default it shows", 0},
	{"other-format", KEY_OTHER_FORMAT, "FORMAT", 0, "of IMAGE2", 0},
	{"strict", KEY_STRICT, NULL, 0, "the sizes, and what is allocated, must be the same too",
	 0},
	{0},
};

static int take(void *context, int key, const char *value, struct qc_err *err)
{
	struct compare_options *o = context;

	(void)err;
	switch (key) {
	case KEY_FORMAT:
		o->format[0] = value;
		break;
	case KEY_OTHER_FORMAT:
		o->format[1] = value;
		break;
	default:
		o->strict = true;
		break;
	}
	return 0;
}

static const struct command_syntax syntax = {
	.arguments = "IMAGE1 IMAGE2",
	.least = 2,
	.most = 2,
	.doc = "Tells whether a guest sees the same on both, as `qemu-img compare` does. A disk that "
	       "is larger by zeroes only counts as the same.\v"
	       "Exit status: 0 the same, 1 different, 2 an image cannot be opened, 3 its tables "
	       "make no sense, 4 it cannot be read, or the work was interrupted.",
	.options = options,
	.take = take,
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_FORCE_SHARE | COMMON_CHAIN | COMMON_JOBS
		   | COMMON_PROGRESS | COMMON_NO_SANDBOX,
};

struct pair {
	struct qc_layer *chain[2];
	struct qc_view view[2];
};

static int open_pair(const struct command_line *line, const struct compare_options *o,
		     struct pair *pair, unsigned int *ret_side, struct qc_err *err)
{
	struct qc_chain_open how = {
		.file.lock = line->common.force_share ? QC_LOCK_FORCE : QC_LOCK_READ,
		.policy = line->common.chain,
	};
	int rc;

	for (unsigned int side = 0; side < 2; side++) {
		how.format = o->format[side] ? o->format[side] : "";
		rc = qc_chain_open(line->argument[side], &how, &pair->chain[side], err);
		if (rc < 0) {
			*ret_side = side;
			return common_options_offer_share(err);
		}
		qc_view_active(pair->chain[side], &pair->view[side]);
	}
	return 0;
}

static bool sizes_differ(const struct pair *pair)
{
	return pair->view[0].disk_bytes != pair->view[1].disk_bytes;
}

static void print_text(const struct pair *pair, const struct qc_compare_report *r)
{
	uint64_t common_bytes = qc_min(pair->view[0].disk_bytes, pair->view[1].disk_bytes);

	if (r->difference == QC_DIFFERENCE_SIZE) {
		puts("Strict mode: Image size mismatch!");
		return;
	}
	if (sizes_differ(pair) && (r->difference == QC_DIFFERENCE_NONE || r->at >= common_bytes))
		puts("Warning: Image size mismatch!");
	if (r->difference == QC_DIFFERENCE_STATUS)
		printf("Strict mode: Offset %" PRIu64 " block status mismatch!\n", r->at);
	else if (r->difference == QC_DIFFERENCE_CONTENT)
		printf("Content mismatch at offset %" PRIu64 "!\n", r->at);
	else
		puts("Images are identical.");
}

static int print_json(const struct command_line *line, const struct pair *pair,
		      const struct qc_compare_report *r, struct qc_err *err)
{
	static const char *const words[] = {
		[QC_DIFFERENCE_CONTENT] = "content",
		[QC_DIFFERENCE_STATUS] = "block-status",
		[QC_DIFFERENCE_SIZE] = "size",
	};
	bool same = r->difference == QC_DIFFERENCE_NONE;
	bool has_place = !same && r->difference != QC_DIFFERENCE_SIZE;

	return emit_json(json_pack("{s:[o, o], s:[o, o], s:b, s:b, s:s*, s:o*}", "filenames",
				   emit_text(line->argument[0]), emit_text(line->argument[1]),
				   "virtual-sizes", emit_number(pair->view[0].disk_bytes),
				   emit_number(pair->view[1].disk_bytes), "identical", same,
				   "size-mismatch", sizes_differ(pair), "mismatch",
				   same ? NULL : words[r->difference], "mismatch-offset",
				   has_place ? emit_number(r->at) : NULL),
			 err);
}

static int print(const struct command_line *line, const struct pair *pair,
		 const struct qc_compare_report *r)
{
	struct qc_err err;

	if (!line->common.quiet && line->common.output == OUTPUT_JSON) {
		if (print_json(line, pair, r, &err) < 0) {
			command_fail(line->name, NULL, &err);
			return COMPARE_NOT_READ;
		}
	} else if (!line->common.quiet) {
		print_text(pair, r);
	}
	return r->difference == QC_DIFFERENCE_NONE ? COMPARE_SAME : COMPARE_DIFFERENT;
}

static int compare(const struct command_line *line, const struct compare_options *o,
		   const struct pair *pair)
{
	struct progress progress;
	const struct qc_compare how = {
		.view = {&pair->view[0], &pair->view[1]},
		.strict = o->strict,
		.threads = line->common.jobs,
		.stop = interrupt_catch(),
		.progress = &progress.base,
	};
	struct qc_compare_report report;
	struct qc_err err;
	int rc;

	progress_init(&progress, line, line->argument[0]);
	rc = qc_compare_views(&how, &report, &err);
	progress_end(&progress);
	if (rc == 0)
		return print(line, pair, &report);
	command_fail(line->name, line->argument[report.side], &err);
	return report.reading ? COMPARE_NOT_READ : COMPARE_NOT_MAPPED;
}

int cmd_compare(int argc, char **argv)
{
	struct compare_options o = {0};
	struct pair pair = {0};
	struct command_line line;
	unsigned int side = 0;
	struct qc_err err;
	int status = COMPARE_NOT_OPENED;

	if (!command_line_parse(&syntax, argc, argv, &o, &line))
		return line.status;
	if (open_pair(&line, &o, &pair, &side, &err) < 0) {
		command_fail(line.name, line.argument[side], &err);
	} else {
		lock_down(&line.common);
		status = compare(&line, &o, &pair);
	}
	qc_layer_close(pair.chain[0]);
	qc_layer_close(pair.chain[1]);
	return status;
}
