// SPDX-License-Identifier: MIT
/* hash: one line that is the same for all images which show a guest the same disk. */
#include <stdio.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/emit.h"
#include "cmd/interrupt.h"
#include "cmd/lock_down.h"
#include "cmd/opened_view.h"
#include "cmd/progress.h"
#include "ops/hash.h"

#define ALGORITHM "xxh3-128-tree"

enum {
	KEY_SNAPSHOT = 0x100,
};

static const struct argp_option options[] = {
	{"snapshot", KEY_SNAPSHOT, "NAME|ID", 0, "the disk as it was in that snapshot", 0},
	{0},
};

static int take(void *context, int key, const char *value, struct qc_err *err)
{
	const char **snapshot = context;

	(void)key, (void)err;
	*snapshot = value;
	return 0;
}

static const struct command_syntax syntax = {
	.arguments = "IMAGE",
	.least = 1,
	.most = 1,
	.doc = "Prints a digest of the disk's contents and size. How they are stored does not show in "
	       "it: allocation, compression, cluster size and backing files make no difference. It "
	       "is made to tell disks apart, not to withstand an attacker.",
	.options = options,
	.take = take,
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_FORCE_SHARE | COMMON_CHAIN | COMMON_JOBS
		   | COMMON_PROGRESS | COMMON_NO_SANDBOX,
};

static int print(const struct command_line *line, uint64_t disk_bytes, const char *hex,
		 struct qc_err *err)
{
	if (line->common.quiet)
		return 0;
	if (line->common.output == OUTPUT_JSON)
		return emit_json(json_pack("{s:o, s:o, s:s, s:s}", "filename",
					   emit_text(line->argument[0]), "virtual-size",
					   emit_number(disk_bytes), "algorithm", ALGORITHM, "hash",
					   hex),
				 err);
	/* As xxhsum and its like do, so that the same scripts can take it apart. */
	printf("%s  %s\n", hex, line->argument[0]);
	return 0;
}

static int hash(const struct command_line *line, const struct opened_view *opened,
		struct qc_err *err)
{
	struct progress progress;
	const struct qc_hash how = {
		.view = &opened->view,
		.threads = line->common.jobs,
		.stop = interrupt_catch(),
		.progress = &progress.base,
	};
	char hex[QC_HASH_HEX_BYTES];
	struct qc_digest digest;
	int rc;

	progress_init(&progress, line, line->argument[0]);
	rc = qc_hash_view(&how, &digest, err);
	progress_end(&progress);
	if (rc < 0)
		return rc;
	qc_digest_print(&digest, hex);
	return print(line, opened->view.disk_bytes, hex, err);
}

int cmd_hash(int argc, char **argv)
{
	const char *snapshot = NULL;
	struct opened_view opened;
	struct command_line line;
	struct qc_err err;
	int rc;

	if (!command_line_parse(&syntax, argc, argv, &snapshot, &line))
		return line.status;
	if (opened_view_open(line.argument[0], &line.common, snapshot, false, &opened, &err) < 0)
		return command_fail(line.name, line.argument[0], &err);
	lock_down(&line.common);
	rc = hash(&line, &opened, &err);
	opened_view_close(&opened);
	return rc < 0 ? command_fail(line.name, line.argument[0], &err) : EXIT_DONE;
}
