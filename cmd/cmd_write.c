// SPDX-License-Identifier: MIT
/* qcowtool write: patches, all of them or none. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/edit_past.h"
#include "cmd/emit.h"
#include "cmd/interrupt.h"
#include "cmd/lock_down.h"
#include "cmd/patches.h"
#include "format/limits.h"
#include "io/file_posix.h"
#include "ops/edit.h"

#define COPY_BYTES ((uint64_t)1 << QC_CLUSTER_BITS_MAX)
#define DISK_UNIT 512 /* a disk's size is a multiple of it; qemu-img rounds down what is not */

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
	.least = 1,
	.most = 1,
	.doc = "Changes bytes of the disk in IMAGE. Patches apply in the order given, all of them or "
	       "none; a source moves the offset behind itself.",
	.options = options,
	.take = take,
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_CHAIN | COMMON_DRY_RUN | COMMON_NO_SYNC
		   | COMMON_TRUST_REFCOUNTS | COMMON_NO_SANDBOX,
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
	return status;
}

/* --- applying --- */

static int expect(struct qc_txn *txn, const struct patch *patch, struct qc_err *err)
{
	QC_AUTOFREE uint8_t *now = malloc((size_t)patch->length + 1);
	int status;

	if (!now)
		return qc_fail_memory(err);
	status = qc_txn_read(txn, qc_guest(patch->at), now, (size_t)patch->length, err);
	for (size_t i = 0; status == 0 && i < patch->length; i++)
		if (now[i] != patch->bytes[i])
			status = qc_fail(err, QC_E_MISMATCH,
					 "expected 0x%02x at offset 0x%" PRIx64 ", found 0x%02x",
					 patch->bytes[i], patch->at + i, now[i]);
	return status;
}

/* The next chunk of a long patch: it ends where the largest clusters do, so none is cut in two. */
static size_t next_chunk(const struct patch *patch, uint64_t done)
{
	return (size_t)qc_min(COPY_BYTES - (patch->at + done) % COPY_BYTES, patch->length - done);
}

static int write_fill(struct qc_txn *txn, const struct patch *patch, struct qc_err *err)
{
	size_t most = (size_t)qc_min(patch->length, COPY_BYTES), now;
	QC_AUTOFREE uint8_t *bytes = malloc(most + 1);
	int status = 0;

	if (!bytes)
		return qc_fail_memory(err);
	memset(bytes, patch->fill, most);
	for (uint64_t done = 0; status == 0 && done < patch->length; done += now) {
		now = next_chunk(patch, done);
		status = qc_txn_write(txn, qc_guest(patch->at + done), bytes, now, err);
	}
	return status;
}

static int write_file(struct qc_txn *txn, const struct patch *patch, struct qc_err *err)
{
	QC_AUTOFREE uint8_t *bytes = malloc(COPY_BYTES);
	size_t now;
	int status = 0;

	if (!bytes)
		return qc_fail_memory(err);
	for (uint64_t done = 0; status == 0 && done < patch->length; done += now) {
		now = next_chunk(patch, done);
		status = qc_file_read(patch->file, done, bytes, now, err);
		if (status < 0)
			return qc_err_context(err, "%s", patch->path);
		status = qc_txn_write(txn, qc_guest(patch->at + done), bytes, now, err);
	}
	return status;
}

static int apply_one(struct qc_txn *txn, const struct patch *patch, struct qc_err *err)
{
	struct qc_guest at = qc_guest(patch->at);

	switch (patch->word) {
	case PATCH_FILE:
		return write_file(txn, patch, err);
	case PATCH_FILL:
		return write_fill(txn, patch, err);
	case PATCH_ZERO:
		return qc_txn_zero(txn, at, patch->length, err);
	case PATCH_DISCARD:
		return qc_txn_discard(txn, at, patch->length, err);
	case PATCH_EXPECT:
		return 0;
	default:
		return qc_txn_write(txn, at, patch->bytes, (size_t)patch->length, err);
	}
}

static int fail_too_long(const struct qc_txn *txn, const struct patches *patches,
			 struct qc_err *err)
{
	return qc_fail(err, QC_E_RANGE,
		       "the patches end at offset %" PRIu64 ", past the end of the disk (%" PRIu64
		       " bytes); --grow makes it longer",
		       patches->end, qc_txn_disk_bytes(txn));
}

static int apply(struct qc_txn *txn, const struct patches *patches, bool grow, struct qc_err *err)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < patches->count; i++)
		if (patches->list[i].word == PATCH_EXPECT)
			status = expect(txn, &patches->list[i], err);
	if (status == 0 && patches->end > qc_txn_disk_bytes(txn))
		status = grow ? qc_txn_grow(txn, qc_align_up(patches->end, DISK_UNIT), err)
			      : fail_too_long(txn, patches, err);
	for (size_t i = 0; status == 0 && i < patches->count; i++)
		status = apply_one(txn, &patches->list[i], err);
	return status;
}

static int edit(const char *path, const struct patches *patches, const struct write_options *o,
		const struct common_options *common, struct qc_txn_report *ret,
		struct qc_edit_past *ret_past, struct qc_err *err)
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
	if ((status = apply(edit->txn, patches, o->grow, err)) == 0)
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
	struct qc_err err;
	int status;

	qc_file_posix_allow_many(); /* every file of a script is open at once */
	if ((status = collect(o, patches, &err)) < 0)
		return status == -QC_E_ARGUMENT ? command_usage(line->name, "%s", err.text)
						: command_fail(line->name, NULL, &err);
	status = edit(path, patches, o, common, &report, &past, &err);
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
