// SPDX-License-Identifier: MIT
/* qcowtool write: patches, all of them or none. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/edit_past.h"
#include "cmd/emit.h"
#include "cmd/interrupt.h"
#include "cmd/lock_down.h"
#include "cmd/patches.h"
#include "cmd/patches_apply.h"
#include "cmd/progress.h"
#include "io/file_posix.h"
#include "ops/edit.h"

enum {
	KEY_WORD = 0x100, /* + enum patch_word */
	KEY_SCRIPT = KEY_WORD + PATCH_WORD_COUNT,
	KEY_GROW,
	KEY_COMPRESS = 'c',
};

static const struct argp_option options[] = {
	{"at", KEY_WORD + PATCH_AT, "OFFSET", 0, "where on the disk the next source goes", 0},
	{"hex", KEY_WORD + PATCH_HEX, "DIGITS", 0, "write bytes given in hex; blanks allowed", 0},
	{"text", KEY_WORD + PATCH_TEXT, "STRING", 0, "write the bytes of STRING", 0},
	{"file", KEY_WORD + PATCH_FILE, "PATH", 0, "write the bytes of a file; - is stdin", 0},
	{"fill", KEY_WORD + PATCH_FILL, "BYTE:LENGTH", 0, "write LENGTH times BYTE", 0},
	{"zero", KEY_WORD + PATCH_ZERO, "LENGTH", 0, "write zeroes, as zero clusters if possible",
	 0},
	{"discard", KEY_WORD + PATCH_DISCARD, "LENGTH", 0,
	 "give space back; reads as zeroes afterwards", 0},
	{"expect", KEY_WORD + PATCH_EXPECT, "DIGITS", 0,
	 "change nothing unless these bytes are there now", 0},
	{"script", KEY_SCRIPT, "FILE", 0, "take such words from FILE or -, without dashes", 0},
	{"compress", KEY_COMPRESS, NULL, 0, "store whole clusters compressed", 0},
	{"grow", KEY_GROW, NULL, 0, "let the disk grow to hold what lies past its end", 0},
	{0},
};

/* The words in the order they were typed; what they mean is found out once all of them are known. */
struct typed {
	int key;
	const char *value;
};

struct write_options {
	struct typed *typed;
	size_t count;
	bool compress, grow;
};

static int take(void *context, int key, const char *value, struct qc_err *err)
{
	struct write_options *o = context;
	struct typed *grown;

	if (key == KEY_COMPRESS || key == KEY_GROW) {
		*(key == KEY_GROW ? &o->grow : &o->compress) = true;
		return 0;
	}
	grown = reallocarray(o->typed, o->count + 1, sizeof(*grown));
	if (!grown)
		return qc_fail_memory(err);
	o->typed = grown;
	o->typed[o->count++] = (struct typed){key, value};
	return 0;
}

static const struct command_syntax syntax = {
	.arguments = "IMAGE",
	.usages = "IMAGE [--at=OFFSET SOURCE...]...",
	.least = 1,
	.most = 1,
	.doc = "Changes bytes of the disk in IMAGE. Patches apply in the order given, all of them or "
	       "none; a SOURCE (--hex, --text, --file, --fill, --zero or --discard) moves the offset "
	       "behind itself.\v"
	       "Example: qcowtool write disk.qcow2 --at=0x1fe --expect=0000 --hex=55aa",
	.options = options,
	.take = take,
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_PROGRESS | COMMON_CHAIN | COMMON_DRY_RUN
		   | COMMON_NO_SYNC | COMMON_TRUST_REFCOUNTS | COMMON_NO_SANDBOX,
};

static int collect(const struct write_options *o, struct patches *ret, struct qc_err *err)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < o->count; i++) {
		const struct typed *t = &o->typed[i];

		if (t->key == KEY_SCRIPT) {
			status = patches_add_script(ret, t->value, err);
			continue;
		}
		status = patches_add(ret, (enum patch_word)(t->key - KEY_WORD), t->value, err);
		if (status == -QC_E_ARGUMENT)
			qc_err_context(err, "--%s", options[t->key - KEY_WORD].name);
	}
	if (status == 0 && ret->count == 0)
		status = qc_fail(err, QC_E_ARGUMENT, "nothing to write");
	/* Whoever puts an offset behind its source would change another place. */
	if (status == 0 && ret->at_waits)
		status = qc_fail(
			err, QC_E_ARGUMENT,
			"no source follows the last --at; an offset stands before its source");
	return status;
}

/* --- the edit --- */

static int edit(const char *path, const struct patches *patches, const struct write_options *o,
		const struct common_options *common, struct qc_progress *progress,
		struct qc_txn_report *ret, struct qc_edit_past *ret_past, struct qc_err *err)
{
	struct qc_edit_options how = {
		.txn =
			{
				.trust_refcounts = common->trust_refcounts,
				.compress = o->compress,
				.stop = interrupt_catch(),
			},
		.policy = common->chain,
		.dry_run = common->dry_run,
		.no_sync = common->no_sync,
		.opened = lock_down_opened,
		.opened_context = common,
	};
	struct qc_edit *edit;
	int status;

	if ((status = qc_edit_open(path, &how, &edit, err)) < 0)
		return status;
	*ret_past = edit->past;
	if ((status = patches_apply(edit->txn, patches, o->grow, progress, err)) == 0)
		status = qc_edit_commit(edit, ret, err);
	qc_edit_close(edit);
	return status;
}

/* --- the result --- */

static int print_json(const char *path, const struct patches *patches,
		      const struct qc_txn_report *report, bool committed, struct qc_err *err)
{
	return emit_json(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "filename",
				   emit_text(path), "patches", emit_number(patches->sources),
				   "bytes-written", emit_number(report->bytes_written),
				   "clusters-allocated", emit_number(report->clusters_allocated),
				   "clusters-freed", emit_number(report->clusters_freed),
				   "l2-tables", emit_number(report->l2_tables), "refcount-blocks",
				   emit_number(report->refcount_blocks), "committed", committed),
			 err);
}

static void print_text(const char *path, const struct patches *patches,
		       const struct qc_txn_report *report, bool dry_run)
{
	printf("%s: %zu patch%s, %s %swritten; %" PRIu64 " data cluster%s allocated, %" PRIu64
	       " freed\n",
	       path, patches->sources, patches->sources == 1 ? "" : "es",
	       emit_size(report->bytes_written).text, dry_run ? "would be " : "",
	       report->clusters_allocated, report->clusters_allocated == 1 ? "" : "s",
	       report->clusters_freed);
}

static int run(const struct command_line *line, const struct write_options *o,
	       struct patches *patches)
{
	const struct common_options *common = &line->common;
	const char *path = line->argument[0];
	struct qc_edit_past past = {.recovered = QC_RECOVER_CLEAN};
	struct qc_txn_report report;
	struct progress progress;
	struct qc_err err;
	int status;

	qc_file_posix_allow_many(); /* every file of a script is open at once */
	if ((status = collect(o, patches, &err)) < 0)
		return status == -QC_E_ARGUMENT ? command_usage(line->name, "%s", err.text)
						: command_fail(line->name, NULL, &err);
	progress_init(&progress, line, path);
	status = edit(path, patches, o, common, &progress.base, &report, &past, &err);
	progress_end(&progress);
	edit_past_say(line, path, &past);
	if (status < 0)
		return command_fail(line->name, path, &err);
	if (common->quiet)
		return EXIT_DONE;
	if (common->output == OUTPUT_HUMAN) {
		print_text(path, patches, &report, common->dry_run);
		return EXIT_DONE;
	}
	status = print_json(path, patches, &report, !common->dry_run, &err);
	return status < 0 ? command_fail(line->name, path, &err) : EXIT_DONE;
}

int cmd_write(int argc, char **argv)
{
	struct write_options o = {0};
	struct patches patches = {0};
	struct command_line line;
	int status;

	if (command_line_parse(&syntax, argc, argv, &o, &line))
		status = run(&line, &o, &patches);
	else
		status = line.status;
	patches_clear(&patches);
	free(o.typed);
	return status;
}
