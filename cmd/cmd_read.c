// SPDX-License-Identifier: MIT
/* read: bytes of the disk to stdout, to a file, or as a dump. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lock_down.h"
#include "cmd/hex_dump.h"
#include "cmd/opened_view.h"
#include "cmd/progress.h"
#include "cmd/read_file.h"
#include "cmd/size.h"
#include "image/read.h"

#define CHUNK_BYTES (4u << 20)

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
	.doc = "Copies bytes of the disk to stdout.",
	.options = options,
	.take = take,
	.accepts = COMMON_QUIET | COMMON_PROGRESS | COMMON_FORCE_SHARE | COMMON_CHAIN
		   | COMMON_NO_SANDBOX,
};

static int put_bytes(const uint8_t *bytes, size_t length, struct qc_err *err)
{
	if (fwrite(bytes, 1, length, stdout) == length)
		return 0;
	qc_fail_errno(err, errno, "cannot write to stdout");
	clearerr(stdout); /* said here, so that nobody says it again */
	return -(int)err->code;
}

static int read_to_stdout(const struct qc_view *view, const struct read_options *o,
			  struct qc_progress *progress, struct qc_err *err)
{
	QC_AUTOFREE uint8_t *buffer = malloc(CHUNK_BYTES);
	struct hex_dump dump = {.at = o->at};
	uint64_t left = o->length;
	uint64_t at = o->at;
	size_t step;
	int rc;

	if (buffer == NULL)
		return qc_fail_memory(err);
	for (; left > 0; at += step, left -= step) {
		qc_progress_step(progress, o->length - left, o->length);
		step = qc_min(left, CHUNK_BYTES);
		rc = qc_read(view, qc_guest(at), buffer, step, err);
		if (rc < 0)
			return rc;
		if (o->hex)
			hex_dump_put(&dump, buffer, step);
		else if (put_bytes(buffer, step, err) < 0)
			return -(int)err->code;
	}
	if (o->hex)
		hex_dump_end(&dump);
	qc_progress_step(progress, o->length, o->length);
	return 0;
}

/* Settles how much is read; what is past the end is not ours to invent. */
static int settle_range(struct read_options *o, uint64_t disk_bytes, struct qc_err *err)
{
	if (!o->has_length && o->at <= disk_bytes)
		o->length = disk_bytes - o->at;
	if (qc_range_fits(o->at, o->length, disk_bytes))
		return 0;
	return qc_fail(err, QC_E_RANGE,
		       "offset %" PRIu64 " and length %" PRIu64
		       " go past the end of the disk (%" PRIu64 " bytes)",
		       o->at, o->length, disk_bytes);
}

static int read_view(const struct opened_view *opened, struct read_options *o,
		     const struct common_options *common, struct qc_progress *progress,
		     struct qc_err *err)
{
	int rc;

	rc = settle_range(o, opened->view.disk_bytes, err);
	if (rc < 0)
		return rc;
	if (o->output_file == NULL) {
		lock_down(common);
		/* One terminal is not for both. */
		return read_to_stdout(&opened->view, o, isatty(STDOUT_FILENO) ? NULL : progress,
				      err);
	}
	rc = read_to_file(opened, o->at, o->length, o->output_file, progress, common, err);
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
	if (o.hex && o.output_file != NULL)
		return command_usage(line.name, "--hex goes to stdout, not to a file");
	if (opened_view_open(line.argument[0], &line.common, o.snapshot, false, &opened, &err) < 0)
		return command_fail(line.name, line.argument[0], &err);
	progress_init(&progress, &line, line.argument[0]);
	rc = read_view(&opened, &o, &line.common, &progress.base, &err);
	progress_end(&progress);
	opened_view_close(&opened);
	return rc < 0 ? command_fail(line.name, line.argument[0], &err) : EXIT_DONE;
}
