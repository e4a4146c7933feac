// SPDX-License-Identifier: MIT
/* qcowtool rebase: another backing file, the same guest contents. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/edit_past.h"
#include "cmd/emit.h"
#include "cmd/interrupt.h"
#include "cmd/lock_down.h"
#include "cmd/progress.h"
#include "ops/rebase.h"

enum {
	KEY_BACKING = 'b',
	KEY_BACKING_FORMAT = 'F',
	KEY_UNSAFE = 'u',
	KEY_COMPRESS = 'c',
	KEY_IGNORE_SNAPSHOTS = 0x100,
};

static const struct argp_option options[] = {
	{"backing", KEY_BACKING, "FILE", 0,
	 "the new backing file, a relative name as seen from IMAGE; \"\" for none", 0},
	{"backing-format", KEY_BACKING_FORMAT, "FORMAT", 0, "its format: qcow2 or raw", 0},
	{"unsafe", KEY_UNSAFE, NULL, 0,
	 "change the name only; the guest then sees whatever the new file holds", 0},
	{"compress", KEY_COMPRESS, NULL, 0, "store what is copied in compressed", 0},
	{"ignore-snapshots", KEY_IGNORE_SNAPSHOTS, NULL, 0,
	 "copy in for the disk alone; snapshots then show whatever the new file holds", 0},
	{0},
};

static int take(void *context, int key, const char *value, struct qc_err *err)
{
	struct qc_rebase *r = context;

	(void)err;
	switch (key) {
	case KEY_BACKING:
		r->name = value;
		break;
	case KEY_BACKING_FORMAT:
		r->format = value;
		break;
	case KEY_UNSAFE:
		r->unsafe = true;
		break;
	case KEY_COMPRESS:
		r->compress = true;
		break;
	case KEY_IGNORE_SNAPSHOTS:
		r->ignore_snapshots = true;
		break;
	}
	return 0;
}

static const struct command_syntax syntax = {
	.arguments = "IMAGE",
	.least = 1,
	.most = 1,
	.doc = "Puts IMAGE on another backing file. The guest contents stay what they are: what the "
	       "new backing file shows differently is copied in.\v"
	       "Examples: qcowtool rebase -b new-base.qcow2 -F qcow2 disk.qcow2\n"
	       "          qcowtool rebase -b '' disk.qcow2",
	.options = options,
	.take = take,
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_CHAIN | COMMON_DRY_RUN | COMMON_NO_SYNC
		   | COMMON_TRUST_REFCOUNTS | COMMON_PROGRESS | COMMON_NO_SANDBOX,
};

struct outcome {
	struct qc_txn_report txn;
	struct qc_rebase_report rebase;
	struct qc_edit_past past;
};

static int rebase(const struct command_line *line, struct qc_rebase *r, struct outcome *ret,
		  struct qc_err *err)
{
	const struct qc_edit_options how = {
		.txn =
			{
				.trust_refcounts = line->common.trust_refcounts,
				.compress = r->compress,
				.stop = interrupt_catch(),
			},
		.policy = line->common.chain,
		.no_backing = r->unsafe,
		.dry_run = line->common.dry_run,
		.no_sync = line->common.no_sync,
	};
	struct progress progress;
	struct qc_edit *edit;
	int status;

	r->policy = line->common.chain;
	r->opened = lock_down_opened;
	r->opened_context = &line->common;
	if ((status = qc_edit_open(line->argument[0], &how, &edit, err)) < 0)
		return status;
	ret->past = edit->past;
	progress_init(&progress, line, line->argument[0]);
	r->progress = &progress.base;
	status = qc_rebase(edit, line->argument[0], r, &ret->rebase, err);
	progress_end(&progress);
	if (status == 0)
		status = qc_edit_commit(edit, &ret->txn, err);
	qc_edit_close(edit);
	return status;
}

static int print_json(const struct command_line *line, const struct qc_rebase *r,
		      const struct outcome *o, struct qc_err *err)
{
	return emit_json(json_pack("{s:o, s:o*, s:o*, s:o, s:o, s:o, s:o, s:o, s:b}", "filename",
				   emit_text(line->argument[0]), "backing-filename",
				   r->name ? emit_text(r->name) : NULL, "backing-filename-format",
				   r->name ? emit_text(r->format) : NULL, "bytes-copied",
				   emit_number(o->rebase.copied_bytes), "bytes-zeroed",
				   emit_number(o->rebase.zeroed_bytes), "clusters-allocated",
				   emit_number(o->txn.clusters_allocated), "l2-tables",
				   emit_number(o->txn.l2_tables), "refcount-blocks",
				   emit_number(o->txn.refcount_blocks), "committed",
				   !line->common.dry_run),
			 err);
}

static void print_text(const struct command_line *line, const struct qc_rebase *r,
		       const struct outcome *o)
{
	bool dry_run = line->common.dry_run;

	printf("%s: ", line->argument[0]);
	if (r->name)
		printf("backing file %s '%s' (%s)", dry_run ? "would be" : "is", r->name,
		       r->format);
	else
		fputs(dry_run ? "would stand alone" : "stands alone", stdout);
	if (!r->unsafe)
		printf("; %s copied in, %s as zeroes", emit_size(o->rebase.copied_bytes).text,
		       emit_size(o->rebase.zeroed_bytes).text);
	putchar('\n');
}

static int run(const struct command_line *line, struct qc_rebase *r)
{
	const struct common_options *common = &line->common;
	struct outcome o = {.past.recovered = QC_RECOVER_CLEAN};
	struct qc_err err;
	int status = rebase(line, r, &o, &err);

	edit_past_say(line, line->argument[0], &o.past);
	if (status == 0 && !common->quiet) {
		if (common->output == OUTPUT_JSON)
			status = print_json(line, r, &o, &err);
		else
			print_text(line, r, &o);
	}
	return status < 0 ? command_fail(line->name, line->argument[0], &err) : EXIT_DONE;
}

int cmd_rebase(int argc, char **argv)
{
	struct qc_rebase r = {0};
	struct command_line line;
	struct qc_err err;
	int status;

	if (!command_line_parse(&syntax, argc, argv, &r, &line))
		return line.status;
	if (!r.name)
		return command_usage(line.name, "a backing file must be specified (-b)");
	if (r.name[0] == '\0')
		r.name = r.format = NULL;
	if ((status = qc_rebase_check(&r, &err)) == -QC_E_ARGUMENT)
		return command_usage(line.name, "%s", err.text);
	if (status < 0)
		return command_fail(line.name, line.argument[0], &err);
	return run(&line, &r);
}
