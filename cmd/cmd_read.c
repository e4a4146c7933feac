// SPDX-License-Identifier: MIT
/* read: bytes of the disk to stdout, to a file, or as a dump. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/checked.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lock_down.h"
#include "cmd/hex_dump.h"
#include "cmd/opened_view.h"
#include "cmd/progress.h"
#include "cmd/read_file.h"
#include "cmd/size.h"
#include "ops/copy.h"

enum {
	KEY_OUTPUT_FILE = 'o',
	KEY_AT = 0x100,
	KEY_LENGTH,
	KEY_SNAPSHOT,
	KEY_HEX,
};

struct read_options {
	uint64_t at;
	uint64_t length;
	bool has_length;
	bool hex;
	const char *snapshot;
	const char *output_file;
};

static const struct argp_option options[] = {
	{"at", KEY_AT, "OFFSET", 0, "begin there instead of at 0", 0},
	{"length", KEY_LENGTH, "LENGTH", 0, "so many bytes instead of all that follow", 0},
	{"snapshot", KEY_SNAPSHOT, "NAME|ID", 0, "the disk as it was in that snapshot", 0},
	{"hex", KEY_HEX, NULL, 0, "a dump with the disk's offsets", 0},
	{NULL, KEY_OUTPUT_FILE, "FILE", 0,
	 "to a sparse FILE, which appears or is replaced when it is complete", 0},
	{0},
};

static int take(void *context, int key, const char *value, struct qc_err *err)
{
	struct read_options *o = context;

	switch (key) {
	case KEY_AT:
		return size_parse(value, &o->at, err);
	case KEY_LENGTH:
		o->has_length = true;
		return size_parse(value, &o->length, err);
	case KEY_SNAPSHOT:
		o->snapshot = value;
		break;
	case KEY_HEX:
		o->hex = true;
		break;
	default:
		o->output_file = value;
		break;
	}
	return 0;
}

static const struct command_syntax syntax = {
	.arguments = "IMAGE",
	.least = 1,
	.most = 1,
	.doc = "Copies bytes of the disk to stdout.\v"
	       "Example: qcowtool read --hex --at=0x1be --length=66 disk.qcow2",
	.options = options,
	.take = take,
	.accepts = COMMON_QUIET | COMMON_PROGRESS | COMMON_FORCE_SHARE | COMMON_CHAIN | COMMON_JOBS
		   | COMMON_NO_SANDBOX,
};

static int put_bytes(void *context, const uint8_t *bytes, size_t length, struct qc_err *err)
{
	(void)context;
	if (fwrite(bytes, 1, length, stdout) == length)
		return 0;
	qc_fail_errno(err, errno, "cannot write to stdout");
	clearerr(stdout); /* said here, so that nobody says it again */
	return -(int)err->code;
}

static int put_hex(void *context, const uint8_t *bytes, size_t length, struct qc_err *err)
{
	(void)err;
	hex_dump_put(context, bytes, length);
	return 0;
}

static int read_to_stdout(const struct qc_copy *copy, bool hex, struct qc_err *err)
{
	struct hex_dump dump = {.at = copy->at};
	int rc;

	if (!hex)
		return qc_copy_in_order(copy, put_bytes, NULL, err);
	rc = qc_copy_in_order(copy, put_hex, &dump, err);
	if (rc == 0)
		hex_dump_end(&dump);
	return rc;
}

/* Settles how much is read; what is past the end is not ours to invent. */
static int settle_range(struct read_options *o, uint64_t disk_bytes, struct qc_err *err)
{
	if (!o->has_length && o->at <= disk_bytes)
		o->length = disk_bytes - o->at;
	if (qc_range_fits(o->at, o->length, disk_bytes))
		return 0;
	if (o->at > disk_bytes)
		return qc_fail(err, QC_E_RANGE,
			       "offset %" PRIu64 " is past the end of the disk (%" PRIu64 " bytes)",
			       o->at, disk_bytes);
	return qc_fail(err, QC_E_RANGE,
		       "offset %" PRIu64 " and length %" PRIu64
		       " go past the end of the disk (%" PRIu64 " bytes)",
		       o->at, o->length, disk_bytes);
}

static int read_view(const struct opened_view *opened, struct read_options *o,
		     const struct common_options *common, struct qc_progress *progress,
		     struct qc_err *err)
{
	struct qc_copy copy = {
		.view = &opened->view,
		.at = o->at,
		.threads = common->jobs,
		.progress = progress,
	};
	int rc;

	rc = settle_range(o, opened->view.disk_bytes, err);
	if (rc < 0)
		return rc;
	copy.length = o->length;
	if (!o->output_file) {
		lock_down(common);
		if (isatty(STDOUT_FILENO)) /* one terminal is not for both */
			copy.progress = NULL;
		return read_to_stdout(&copy, o->hex, err);
	}
	rc = read_to_file(opened, &copy, o->output_file, common, err);
	return rc < 0 ? qc_err_context(err, "'%s'", o->output_file) : 0;
}

int cmd_read(int argc, char **argv)
{
	struct read_options o = {0};
	struct opened_view opened;
	struct command_line line;
	struct progress progress;
	struct qc_err err;
	int rc;

	if (!command_line_parse(&syntax, argc, argv, &o, &line))
		return line.status;
	if (o.hex && o.output_file)
		return command_usage(line.name, "--hex goes to stdout, not to a file");
	if (!o.hex && !o.output_file && isatty(STDOUT_FILENO)) {
		/* A disk may hold anything, also what takes a terminal over. */
		qc_fail(&err, QC_E_ARGUMENT,
			"stdout is a terminal: use --hex, -o FILE, or pipe it ('| cat')");
		return command_fail(line.name, line.argument[0], &err);
	}
	if (opened_view_open(line.argument[0], &line.common, o.snapshot, false, &opened, &err) < 0)
		return command_fail(line.name, line.argument[0], &err);
	progress_init(&progress, &line, line.argument[0]);
	rc = read_view(&opened, &o, &line.common, &progress.base, &err);
	progress_end(&progress);
	opened_view_close(&opened);
	return rc < 0 ? command_fail(line.name, line.argument[0], &err) : EXIT_DONE;
}
