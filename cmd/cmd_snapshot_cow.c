// SPDX-License-Identifier: MIT
/* qcowtool snapshot-cow: internal snapshots, each change one transaction. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/edit_past.h"
#include "cmd/emit.h"
#include "cmd/info_value.h"
#include "cmd/interrupt.h"
#include "cmd/lock_down.h"
#include "io/file_posix.h"
#include "ops/edit.h"
#include "txn/snapshot.h"

static const struct command_syntax syntax = {
	.arguments =
		"create IMAGE NAME | list IMAGE | apply IMAGE NAME|ID | delete IMAGE NAME|ID | "
		"rename IMAGE NAME|ID NEW",
	.least = 2,
	.most = 4,
	.usages = "create IMAGE NAME\n"
		  "list IMAGE\n"
		  "apply IMAGE NAME|ID\n"
		  "delete IMAGE NAME|ID\n"
		  "rename IMAGE NAME|ID NEW",
	.doc = "Internal snapshots of the disk in IMAGE. An id is looked for first, then a name. After "
	       "apply the disk is what it was when the snapshot was taken, its size included.",
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_FORCE_SHARE | COMMON_DRY_RUN
		   | COMMON_NO_SYNC | COMMON_TRUST_REFCOUNTS | COMMON_NO_SANDBOX,
};

/* One change: what it is called, what it takes, what it does. */
struct verb {
	const char *name;
	const char *takes;
	unsigned int arguments; /* with the verb and IMAGE */
	int (*edit)(struct qc_txn *txn, const struct command_line *line, struct qc_err *err);
};

/* Now, or what SOURCE_DATE_EPOCH says: the same command then gives the same bytes. */
static int get_date(struct qc_snapshot_date *ret, struct qc_err *err)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	struct timespec now;
	char *end;
	unsigned long long seconds;

	if (!epoch || *epoch == '\0') {
		clock_gettime(CLOCK_REALTIME, &now);
		*ret = (struct qc_snapshot_date){(uint32_t)now.tv_sec, (uint32_t)now.tv_nsec};
		return 0;
	}
	seconds = strtoull(epoch, &end, 10);
	if (*end != '\0' || seconds > UINT32_MAX)
		return qc_fail(err, QC_E_ARGUMENT, "SOURCE_DATE_EPOCH is no date: '%s'", epoch);
	*ret = (struct qc_snapshot_date){(uint32_t)seconds, 0};
	return 0;
}

static int create(struct qc_txn *txn, const struct command_line *line, struct qc_err *err)
{
	struct qc_snapshot_date date;
	int status = get_date(&date, err);

	return status < 0 ? status : qc_txn_snapshot_create(txn, line->argument[2], date, err);
}

static int apply(struct qc_txn *txn, const struct command_line *line, struct qc_err *err)
{
	size_t index;
	int status = qc_txn_snapshot_find(txn, line->argument[2], &index, err);

	return status < 0 ? status : qc_txn_snapshot_apply(txn, index, err);
}

static int delete (struct qc_txn *txn, const struct command_line *line, struct qc_err *err)
{
	size_t index;
	int status = qc_txn_snapshot_find(txn, line->argument[2], &index, err);

	return status < 0 ? status : qc_txn_snapshot_delete(txn, index, err);
}

static int rename_one(struct qc_txn *txn, const struct command_line *line, struct qc_err *err)
{
	size_t index;
	int status = qc_txn_snapshot_find(txn, line->argument[2], &index, err);

	return status < 0 ? status : qc_txn_snapshot_rename(txn, index, line->argument[3], err);
}

static const struct verb verbs[] = {
	{"list", "IMAGE", 2, NULL},
	{"create", "IMAGE NAME", 3, create},
	{"apply", "IMAGE NAME|ID", 3, apply},
	{"delete", "IMAGE NAME|ID", 3, delete},
	{"rename", "IMAGE NAME|ID NEW", 4, rename_one},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* --- list --- */

static int print_list(const struct qc_image *image, const struct common_options *common,
		      struct qc_err *err)
{
	json_t *list = info_value_snapshots(&image->snapshots);

	if (common->output == OUTPUT_JSON)
		return emit_json(list, err);
	if (!list)
		return qc_fail_memory(err);
	if (image->snapshots.count > 0)
		info_print_snapshots(list);
	json_decref(list);
	return 0;
}

static int run_list(const struct command_line *line)
{
	const char *path = line->argument[1];
	struct qc_file_open how = {
		.lock = line->common.force_share ? QC_LOCK_FORCE : QC_LOCK_READ,
	};
	struct qc_image *image = NULL;
	struct qc_file *file = NULL;
	struct qc_err err;
	int status;

	status = qc_file_posix_open(path, &how, &file, &err);
	if (status < 0) {
		common_options_offer_share(&err);
	} else {
		lock_down(&line->common);
		status = qc_image_open(file, NULL, &image, &err);
	}
	if (status == 0 && !line->common.quiet)
		status = print_list(image, &line->common, &err);
	qc_image_close(image);
	qc_file_close(file);
	return status < 0 ? command_fail(line->name, path, &err) : EXIT_DONE;
}

/* --- changes --- */

static int edit(const struct command_line *line, const struct verb *verb, struct qc_txn_report *ret,
		struct qc_edit_past *ret_past, struct qc_err *err)
{
	struct qc_edit_options how = {
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
	struct qc_edit *edit;
	int status;

	if ((status = qc_edit_open(line->argument[1], &how, &edit, err)) < 0)
		return status;
	*ret_past = edit->past;
	status = verb->edit(edit->txn, line, err);
	if (status == 0)
		status = qc_edit_commit(edit, ret, err);
	qc_edit_close(edit);
	return status;
}

static int print_report(const struct command_line *line, const struct qc_txn_report *report,
			struct qc_err *err)
{
	if (line->common.quiet || line->common.output == OUTPUT_HUMAN)
		return 0; /* as silent as qemu-img snapshot */
	return emit_json(json_pack("{s:o, s:s, s:o, s:o, s:o, s:b}", "filename",
				   emit_text(line->argument[1]), "operation", line->argument[0],
				   "clusters-freed", emit_number(report->clusters_freed),
				   "l2-tables", emit_number(report->l2_tables), "refcount-blocks",
				   emit_number(report->refcount_blocks), "committed",
				   !line->common.dry_run),
			 err);
}

static int run_change(const struct command_line *line, const struct verb *verb)
{
	struct qc_edit_past past = {.recovered = QC_RECOVER_CLEAN};
	struct qc_txn_report report;
	struct qc_err err;
	int status = edit(line, verb, &report, &past, &err);

	edit_past_say(line, line->argument[1], &past);
	if (status == 0)
		status = print_report(line, &report, &err);
	return status < 0 ? command_fail(line->name, line->argument[1], &err) : EXIT_DONE;
}

int cmd_snapshot_cow(int argc, char **argv)
{
	const struct verb *verb;
	struct command_line line;

	if (!command_line_parse(&syntax, argc, argv, NULL, &line))
		return line.status;
	verb = find_verb(line.argument[0]);
	if (!verb)
		return command_usage(
			line.name,
			"'%s' is none of create, list, apply, delete, rename; the verb "
			"stands before IMAGE",
			line.argument[0]);
	if (line.arguments != verb->arguments)
		return command_usage(line.name, "expected %s %s", verb->name, verb->takes);
	if (verb->edit && line.common.force_share)
		return command_usage(line.name,
				     "a change cannot share the image: -U goes with list");
	return verb->edit ? run_change(&line, verb) : run_list(&line);
}
