// SPDX-License-Identifier: MIT
/* qcowtool recover: shows the journal of an interrupted transaction and settles it. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/byte_order.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/emit.h"
#include "cmd/interrupt.h"
#include "cmd/lock_down.h"
#include "format/disk_layout.h"
#include "image/image.h"
#include "io/file_posix.h"
#include "ops/edit_data.h"
#include "txn/recover.h"

enum {
	KEY_FINISH = 0x100,
	KEY_DROP,
};

/* What to do about a header that may be torn. */
enum decision {
	DECISION_NONE,
	DECISION_FINISH,
	DECISION_DROP,
};

static const struct argp_option options[] = {
	{"finish", KEY_FINISH, NULL, 0,
	 "if the header makes sense but may be torn: it is; finish the transaction", 0},
	{"drop", KEY_DROP, NULL, 0,
	 "if the header makes sense but may be torn: it is not; drop the journal", 0},
	{0},
};

static int take(void *context, int key, const char *value, struct qc_err *err)
{
	enum decision decision = key == KEY_FINISH ? DECISION_FINISH : DECISION_DROP;
	enum decision *ret = context;

	(void)value;
	if (*ret != DECISION_NONE && *ret != decision)
		return qc_fail(err, QC_E_ARGUMENT, "--finish and --drop exclude each other");
	*ret = decision;
	return 0;
}

static const struct command_syntax syntax = {
	.arguments = "IMAGE",
	.least = 1,
	.most = 1,
	.doc = "Shows the journal that an interrupted transaction left in IMAGE, and finishes the "
	       "transaction or drops it. With -n nothing is changed.",
	.options = options,
	.take = take,
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_FORCE_SHARE | COMMON_CHAIN | COMMON_DRY_RUN
		   | COMMON_NO_SYNC | COMMON_NO_SANDBOX,
};

/* The fields of sector 0 that a transaction can switch. */
static const struct field {
	const char *name;
	size_t offset, bytes;
} fields[] = {
#define FIELD(name, member)                                                                        \
	{                                                                                          \
		name, offsetof(struct qc_disk_header, member),                                     \
			sizeof(((struct qc_disk_header *)0)->member)                               \
	}
	FIELD("backing-file-offset", backing_file_offset),
	FIELD("backing-file-size", backing_file_size),
	FIELD("size", size),
	FIELD("l1-size", l1_size),
	FIELD("l1-table-offset", l1_table_offset),
	FIELD("refcount-table-offset", refcount_table_offset),
	FIELD("refcount-table-clusters", refcount_table_clusters),
	FIELD("nb-snapshots", nb_snapshots),
	FIELD("snapshots-offset", snapshots_offset),
	/* What follows exists in version 3 only. */
	FIELD("incompatible-features", incompatible_features),
	FIELD("compatible-features", compatible_features),
	FIELD("autoclear-features", autoclear_features),
#undef FIELD
};

#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static uint64_t field_value(const struct field *field, const uint8_t *sector)
{
	return field->bytes == 4 ? qc_load_be32(sector + field->offset)
				 : qc_load_be64(sector + field->offset);
}

static bool has_field(const struct field *field, const uint8_t *sector)
{
	return field->offset < QC_HEADER_BYTES_V2
	       || qc_load_be32(sector + offsetof(struct qc_disk_header, version)) >= 3;
}

struct name {
	char text[QC_SECTOR_BYTES + 1];
};

/* What sector 0 calls its backing file; nothing where the name is none or reaches beyond. */
static struct name backing_name(const uint8_t *sector)
{
	uint64_t at = qc_load_be64(sector + offsetof(struct qc_disk_header, backing_file_offset));
	uint32_t bytes = qc_load_be32(sector + offsetof(struct qc_disk_header, backing_file_size));
	struct name name = {{0}};

	if (at != 0 && at < QC_SECTOR_BYTES && bytes <= QC_SECTOR_BYTES - at)
		memcpy(name.text, sector + at, bytes);
	for (char *c = name.text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return name;
}

/* --- for people --- */

static int print_record(void *context, const struct qc_journal_record *record, struct qc_err *err)
{
	(void)context;
	(void)err;
	printf("  %-16s %8" PRIu64 "  0x%010" PRIx64 "  0x%010" PRIx64 "  %s\n",
	       qc_journal_kind_text(record->kind), record->index, record->old_host.byte,
	       record->new_host.byte, emit_size(record->length).text);
	return 0;
}

static void print_name(const char *lead, const char *name)
{
	fputs(lead, stdout);
	emit_plain(stdout, name);
	putchar('\n');
}

static void print_headers(const struct qc_journal_head *head)
{
	struct name before = backing_name(head->before), after = backing_name(head->after);

	printf("Header fields:             before                after\n");
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		const struct field *field = &fields[i];

		if (!has_field(field, head->before))
			continue;
		printf("  %-24s 0x%-16" PRIx64 "  0x%-16" PRIx64 "%s\n", field->name,
		       field_value(field, head->before), field_value(field, head->after),
		       field_value(field, head->before) == field_value(field, head->after) ? ""
											   : "  *");
	}
	if (strcmp(before.text, after.text) != 0) {
		print_name("Backing file before: ", before.text);
		print_name("Backing file after: ", after.text);
	}
}

static int print_text(struct qc_file *file, const struct qc_recover_plan *plan, struct qc_err *err)
{
	if (plan->state == QC_RECOVER_CLEAN)
		return 0;
	print_headers(&plan->journal.head);
	printf("Journal at 0x%" PRIx64 ", %" PRIu64 " records:\n", plan->journal.offset,
	       plan->journal.head.records);
	printf("  %-16s %8s  %-12s  %-12s  %s\n", "kind", "index", "old", "new", "length");
	return qc_journal_each(file, &plan->journal, print_record, NULL, err);
}

/* --- for programs --- */

#define RECORDS_LISTED_MAX 10000

static int add_record(void *context, const struct qc_journal_record *record, struct qc_err *err)
{
	json_t *list = context;
	char digest[24];

	if (json_array_size(list) == RECORDS_LISTED_MAX)
		return 0;
	snprintf(digest, sizeof(digest), "0x%016" PRIx64, record->digest);
	if (json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:s}", "kind",
						  qc_journal_kind_id(record->kind), "index",
						  emit_number(record->index), "old-host",
						  emit_number(record->old_host.byte), "new-host",
						  emit_number(record->new_host.byte), "length",
						  emit_number(record->length), "digest", digest))
	    < 0)
		return qc_fail_memory(err);
	return 0;
}

static json_t *header_value(const uint8_t *sector)
{
	struct name name = backing_name(sector);
	json_t *value = json_object();

	for (size_t i = 0; value && i < FIELD_COUNT; i++)
		if (has_field(&fields[i], sector))
			json_object_set_new(value, fields[i].name,
					    emit_number(field_value(&fields[i], sector)));
	if (*name.text != '\0')
		json_object_set_new(value, "backing-filename", emit_text(name.text));
	return value;
}

/* All of the journal, which is gone once it is settled. */
static int make_json(const char *path, struct qc_file *file, const struct qc_recover_plan *plan,
		     json_t **ret, struct qc_err *err)
{
	json_t *value = json_pack("{s:o, s:s}", "filename", emit_text(path), "state",
				  qc_recover_state_id(plan->state));
	json_t *records = json_array();
	int status = 0;

	if (plan->state != QC_RECOVER_CLEAN) {
		status = qc_journal_each(file, &plan->journal, add_record, records, err);
		json_object_set_new(value, "before", header_value(plan->journal.head.before));
		json_object_set_new(value, "after", header_value(plan->journal.head.after));
		if (plan->journal.head.records > RECORDS_LISTED_MAX)
			json_object_set_new(value, "records-omitted",
					    emit_number(plan->journal.head.records
							- RECORDS_LISTED_MAX));
	}
	if (json_object_set_new(value, "records", records) < 0 && status == 0)
		status = qc_fail_memory(err);
	if (status < 0)
		json_decref(value);
	else
		*ret = value;
	return status;
}

/* --- doing it --- */

static int settle(struct qc_file *file, const struct qc_recover_plan *plan, bool dry_run,
		  bool *ret_settled, struct qc_err *err)
{
	struct qc_image *image;
	int status;

	*ret_settled = false;
	if (qc_recover_is_stuck(plan))
		return qc_fail(err, QC_E_FORMAT, "%s%s", qc_recover_state_text(plan->state),
			       plan->state == QC_RECOVER_DOUBTFUL
				       ? "; decide with --finish or --drop"
				       : "");
	if (plan->state == QC_RECOVER_CLEAN) {
		/* Nothing to do; but say so of an image only. */
		if ((status = qc_image_open(file, NULL, &image, err)) == 0)
			qc_image_close(image);
		return status;
	}
	if (dry_run)
		return 0;
	status = qc_recover_apply(file, plan, err);
	*ret_settled = status == 0;
	return status;
}

static int show_and_settle(const struct command_line *line, struct qc_file *file,
			   const struct qc_recover_plan *plan, struct qc_err *err)
{
	const struct common_options *common = &line->common;
	bool json = common->output == OUTPUT_JSON && !common->quiet;
	bool text = common->output == OUTPUT_HUMAN && !common->quiet;
	json_t *value = NULL;
	bool settled;
	int status = 0;

	if ((json && (status = make_json(line->argument[0], file, plan, &value, err)) < 0)
	    || (text && (status = print_text(file, plan, err)) < 0))
		return status;
	(void)interrupt_catch(); /* settling is not left half done */
	status = settle(file, plan, common->dry_run, &settled, err);
	if (json && (status == 0 || plan->state != QC_RECOVER_CLEAN)) {
		struct qc_err print_err;

		json_object_set_new(value, "settled", json_boolean(settled));
		if (emit_json(value, &print_err) < 0 && status == 0)
			status = qc_fail(err, print_err.code, "%s", print_err.text);
	} else {
		json_decref(value);
	}
	if (text && status == 0)
		printf("%s: %s%s\n", line->argument[0], qc_recover_state_text(plan->state),
		       settled ? "; settled" : "");
	return status;
}

/* What is to be redone is written to the data file that the image names; nothing else is opened. */
static int recover(const struct command_line *line, enum decision decision, struct qc_file *file,
		   struct qc_err *err)
{
	const struct qc_edit_data_how how = {
		.image_path = line->argument[0],
		.image_file = file,
		.policy = line->common.chain,
		.no_sync = line->common.no_sync,
	};
	struct qc_edit_data data = {0};
	struct qc_recover_plan plan;
	int status;

	if ((status = qc_recover_look(file, &plan, err)) < 0)
		return status;
	if (decision != DECISION_NONE)
		qc_recover_resolve(&plan, decision == DECISION_FINISH);
	if (!line->common.dry_run
	    && (status = qc_edit_data_open_for_redo(&data, &how, file, &plan, err)) < 0)
		return status;
	lock_down(&line->common);
	status = show_and_settle(line, file, &plan, err);
	qc_edit_data_close(&data);
	return status;
}

/* To look, an image can be shared. */
static int open_image(const char *path, const struct common_options *common, struct qc_file **ret,
		      struct qc_err *err)
{
	const struct qc_file_open look = {
		.lock = common->force_share ? QC_LOCK_FORCE : QC_LOCK_READ,
	};
	const struct qc_file_open change = {
		.writable = true,
		.lock = QC_LOCK_WRITE,
		.no_sync = common->no_sync,
	};
	int status = qc_file_posix_open(path, common->dry_run ? &look : &change, ret, err);

	return status < 0 && common->dry_run ? common_options_offer_share(err) : status;
}

int cmd_recover(int argc, char **argv)
{
	enum decision decision = DECISION_NONE;
	struct command_line line;
	struct qc_file *file;
	struct qc_err err;
	int status;

	if (!command_line_parse(&syntax, argc, argv, &decision, &line))
		return line.status;
	if (line.common.force_share && !line.common.dry_run)
		return command_usage(line.name,
				     "a recovery cannot share the image: -U goes with -n");
	status = open_image(line.argument[0], &line.common, &file, &err);
	if (status == 0) {
		status = recover(&line, decision, file, &err);
		qc_file_close(file);
	}
	return status < 0 ? command_fail(line.name, line.argument[0], &err) : EXIT_DONE;
}
