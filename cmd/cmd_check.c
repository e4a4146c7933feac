// SPDX-License-Identifier: MIT
/*
 * check: what qemu-img check says, in its words and with its exit status, and each finding by itself.
 * Findings are diagnostics and go to stderr, as they come up; the verdict goes to stdout.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check/check.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lock_down.h"
#include "cmd/emit.h"
#include "cmd/interrupt.h"
#include "cmd/progress.h"
#include "io/file_posix.h"
#include "ops/repair.h"

enum {
	KEY_REPAIR = 'r',
	KEY_DEEP = 1,
	KEY_SNAPSHOT,
};

static const struct argp_option own_options[] = {
	{"repair", KEY_REPAIR, "leaks|all", 0, "repair leaks, or all that can be repaired", 0},
	{"deep", KEY_DEEP, NULL, 0, "decompress every compressed cluster, too", 0},
	{"snapshot", KEY_SNAPSHOT, "NAME|ID", 0,
	 "only what concerns that snapshot, and its numbers of clusters", 0},
	{0},
};

enum repair_kind {
	REPAIR_NOTHING,
	REPAIR_LEAKS,
	REPAIR_ALL,
};

/* The command's own options. */
struct wish {
	enum repair_kind repair;
	bool deep;
	const char *snapshot;
};

static int take_option(void *context, int key, const char *value, struct qc_err *err)
{
	struct wish *wish = context;

	if (key == KEY_DEEP)
		wish->deep = true;
	else if (key == KEY_SNAPSHOT)
		wish->snapshot = value;
	else if (strcmp(value, "leaks") == 0)
		wish->repair = REPAIR_LEAKS;
	else if (strcmp(value, "all") == 0)
		wish->repair = REPAIR_ALL;
	else
		return qc_fail(err, QC_E_ARGUMENT, "'%s' is neither leaks nor all", value);
	return 0;
}

static const struct command_syntax syntax = {
	.arguments = "IMAGE",
	.least = 1,
	.most = 1,
	.doc = "Looks for corruption and leaks in IMAGE, and repairs them if asked to: in one transaction, "
	       "so a crash leaves the image as it was or repaired.\v"
	       "Exit status: 0 clean or clean now, 1 not checked, 2 corrupt, 3 leaks and nothing worse.",
	.options = own_options,
	.take = take_option,
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_FORCE_SHARE | COMMON_DRY_RUN
		   | COMMON_NO_SYNC | COMMON_NO_SANDBOX | COMMON_JOBS | COMMON_PROGRESS,
};

struct check_command {
	const struct command_line *line;
	struct wish wish;
	struct progress progress;
	bool second_check;	       /* has begun to report */
	struct qc_check_result result; /* of the image as it is now */
	uint64_t corruptions_fixed, leaks_fixed;
	json_t *findings;				      /* NULL if memory ran out */
	char last[sizeof(((struct qc_finding *)0)->message)]; /* finding of corruption */
};

/* How qemu-img begins its lines. */
static const char *lead_of(enum qc_severity severity)
{
	switch (severity) {
	case QC_SEVERITY_NOTE:
		return "Note:";
	case QC_SEVERITY_LEAK:
		return "Leaked";
	case QC_SEVERITY_CORRUPTION:
		break;
	}
	return "ERROR";
}

static const char *severity_id(enum qc_severity severity)
{
	static const char *const ids[] = {
		[QC_SEVERITY_NOTE] = "note",
		[QC_SEVERITY_LEAK] = "leak",
		[QC_SEVERITY_CORRUPTION] = "corruption",
	};

	return ids[severity];
}

static json_t *finding_value(const struct qc_finding *finding)
{
	const struct qc_finding_kind *kind = qc_finding_kind(finding->id);

	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:b}", "id", kind->id, "severity",
			 severity_id(kind->severity), "host",
			 finding->has_host ? emit_number(finding->host.byte) : json_null(), "guest",
			 finding->has_guest ? emit_number(finding->guest.byte) : json_null(),
			 "snapshot", finding->snapshot ? emit_text(finding->snapshot) : json_null(),
			 "message", emit_text(finding->message), "repaired", 0);
}

static void take_finding(void *context, const struct qc_finding *finding)
{
	struct check_command *command = context;
	enum qc_severity severity = qc_finding_kind(finding->id)->severity;

	if (severity == QC_SEVERITY_CORRUPTION)
		snprintf(command->last, sizeof(command->last), "%s", finding->message);
	if (severity != QC_SEVERITY_NOTE || !command->line->common.quiet) {
		progress_end(&command->progress); /* its line would be in the way from now on */
		fprintf(stderr, "%s ", lead_of(severity));
		emit_plain(stderr, finding->message);
		putc('\n', stderr);
	}
	if (command->line->common.output == OUTPUT_JSON && command->findings
	    && json_array_append_new(command->findings, finding_value(finding)) < 0) {
		json_decref(command->findings);
		command->findings = NULL;
	}
}

static int check_file(struct check_command *command, struct qc_err *err)
{
	const struct qc_file_open how = {.lock = command->line->common.force_share ? QC_LOCK_FORCE
										   : QC_LOCK_READ};
	const struct qc_check_options options = {
		.snapshot = command->wish.snapshot,
		.deep = command->wish.deep,
		.jobs = command->line->common.jobs,
		.progress = &command->progress.base,
	};
	const struct qc_finding_sink sink = {take_finding, command};
	struct qc_file *file;
	int rc;

	rc = qc_file_posix_open(command->line->argument[0], &how, &file, err);
	if (rc < 0)
		return common_options_offer_share(err);
	lock_down(&command->line->common);
	rc = qc_check_run(file, &options, &sink, &command->result, err);
	qc_file_close(file);
	return rc;
}

/* --- repair --- */

/* What the second check still finds was not repaired; the first check said so already. */
static void take_left(void *context, const struct qc_finding *finding)
{
	struct check_command *command = context;
	size_t index;
	json_t *value;

	if (qc_finding_kind(finding->id)->severity == QC_SEVERITY_CORRUPTION)
		snprintf(command->last, sizeof(command->last), "%s", finding->message);
	json_array_foreach(command->findings, index, value)
	{
		if (strcmp(json_string_value(json_object_get(value, "message")), finding->message)
		    == 0)
			json_object_set_new(value, "repaired", json_false());
	}
}

static void mark_all_repaired(struct check_command *command)
{
	size_t index;
	json_t *value;

	json_array_foreach(command->findings, index, value)
		json_object_set_new(value, "repaired", json_true());
}

static uint64_t less(uint64_t before, uint64_t after)
{
	return before > after ? before - after : 0;
}

/* The first check's findings are all repaired, until the second one finds one of them again. */
static void take_repaired(void *context, const struct qc_finding *finding)
{
	struct check_command *command = context;

	if (!command->second_check) {
		mark_all_repaired(command);
		command->second_check = true;
	}
	take_left(context, finding);
}

static int repair_file(struct check_command *command, struct qc_err *err)
{
	const struct common_options *common = &command->line->common;
	const struct qc_repair_options options = {
		.leaks_only = command->wish.repair == REPAIR_LEAKS,
		.dry_run = common->dry_run,
		.no_sync = common->no_sync,
		.stop = interrupt_catch(),
		.progress = &command->progress.base,
		.opened = lock_down_opened,
		.opened_context = common,
	};
	const struct qc_finding_sink before = {take_finding, command};
	const struct qc_finding_sink after = {take_repaired, command};
	struct qc_repair_report report;
	int rc = qc_repair(command->line->argument[0], &options, &before, &after, &report, err);

	if (rc < 0)
		return rc;
	if (report.changed && !command->second_check)
		mark_all_repaired(command);
	command->result = report.after;
	command->corruptions_fixed = less(report.found.corruptions, report.after.corruptions);
	command->leaks_fixed = less(report.found.leaks, report.after.leaks);
	return 0;
}

static void print_verdict(const struct qc_check_result *result)
{
	if (result->corruptions == 0 && result->leaks == 0 && result->check_errors == 0)
		puts("No errors were found on the image.");
	if (result->corruptions)
		printf("\n%" PRIu64 " errors were found on the image.\n"
		       "Data may be corrupted, or further writes to the image may corrupt it.\n",
		       result->corruptions);
	if (result->leaks)
		printf("\n%" PRIu64 " leaked clusters were found on the image.\n"
		       "This means waste of disk space, but no harm to data.\n",
		       result->leaks);
	if (result->check_errors)
		printf("\n%" PRIu64 " internal errors have occurred during the check.\n",
		       result->check_errors);
}

static void print_human(const struct check_command *command)
{
	const struct qc_check_result *result = &command->result;
	double allocated = (double)result->allocated_clusters;

	if (command->corruptions_fixed || command->leaks_fixed)
		printf("The following inconsistencies were found and repaired:\n\n"
		       "    %" PRIu64 " leaked clusters\n    %" PRIu64 " corruptions\n\n"
		       "Double checking the fixed image now...\n",
		       command->leaks_fixed, command->corruptions_fixed);
	print_verdict(result);
	if (result->total_clusters != 0 && result->allocated_clusters != 0)
		printf("%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% fragmented, "
		       "%0.2f%% compressed clusters\n",
		       result->allocated_clusters, result->total_clusters,
		       allocated * 100.0 / (double)result->total_clusters,
		       (double)result->fragmented_clusters * 100.0 / allocated,
		       (double)result->compressed_clusters * 100.0 / allocated);
	if (result->image_end_offset)
		printf("Image end offset: %" PRIu64 "\n", result->image_end_offset);
}

/* Adds a counter that is only shown when it is not zero. */
static int add_counter(json_t *object, const char *key, uint64_t value)
{
	return value ? json_object_set_new(object, key, emit_number(value)) : 0;
}

/* NULL if memory ran out. */
static json_t *result_value(struct check_command *command)
{
	const struct qc_check_result *result = &command->result;
	json_t *object = json_pack("{s:o, s:s, s:o}", "filename",
				   emit_text(command->line->argument[0]), "format", "qcow2",
				   "check-errors", emit_number(result->check_errors));
	int failed = !object || !command->findings;

	if (!failed)
		failed = add_counter(object, "image-end-offset", result->image_end_offset)
			 | add_counter(object, "corruptions", result->corruptions)
			 | add_counter(object, "leaks", result->leaks)
			 | add_counter(object, "corruptions-fixed", command->corruptions_fixed)
			 | add_counter(object, "leaks-fixed", command->leaks_fixed)
			 | add_counter(object, "total-clusters", result->total_clusters)
			 | add_counter(object, "allocated-clusters", result->allocated_clusters)
			 | add_counter(object, "fragmented-clusters", result->fragmented_clusters)
			 | add_counter(object, "compressed-clusters", result->compressed_clusters)
			 | add_counter(object, "findings-omitted", result->findings_omitted)
			 | json_object_set(object, "findings", command->findings);
	if (failed) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static int status_of(const struct qc_check_result *result)
{
	if (result->check_errors)
		return EXIT_FAILED;
	if (result->corruptions)
		return EXIT_CORRUPT;
	return result->leaks ? EXIT_LEAKS : EXIT_DONE;
}

static int show(struct check_command *command, struct qc_err *err)
{
	const struct common_options *common = &command->line->common;

	if (command->result.findings_omitted)
		fprintf(stderr, "Note: %" PRIu64 " more findings are not listed\n",
			command->result.findings_omitted);
	if (common->quiet)
		return 0;
	if (common->output == OUTPUT_JSON)
		return emit_json(result_value(command), err);
	if (command->result.completed)
		print_human(command);
	return 0;
}

/* The status, after a line that says why if the check could not be done. */
static int finish(struct check_command *command)
{
	const char *name = command->line->name;
	const char *image = command->line->argument[0];
	struct qc_err err;

	if (show(command, &err) < 0)
		return command_fail(name, image, &err);
	if (!command->result.completed) {
		qc_fail(&err, QC_E_FORMAT, "cannot be checked: %s", command->last);
		command_fail(name, image, &err);
	} else if (command->result.check_errors) {
		qc_fail(&err, QC_E_FORMAT, "check failed: parts of the image cannot be checked");
		command_fail(name, image, &err);
	}
	return status_of(&command->result);
}

int cmd_check(int argc, char **argv)
{
	struct command_line line;
	struct check_command command = {.line = &line};
	struct qc_err err;
	int status;
	int done;

	if (!command_line_parse(&syntax, argc, argv, &command.wish, &line))
		return line.status;
	if (command.wish.repair == REPAIR_NOTHING && (line.common.dry_run || line.common.no_sync))
		return command_usage(line.name, "-n and --no-sync are for repairs: add -r");
	if (command.wish.repair != REPAIR_NOTHING && line.common.force_share)
		return command_usage(line.name,
				     "a repair cannot share the image: -U and -r exclude "
				     "each other");
	if (command.wish.repair != REPAIR_NOTHING && command.wish.deep)
		return command_usage(line.name, "what --deep finds cannot be repaired: --deep and "
						"-r exclude each other");
	if (command.wish.repair != REPAIR_NOTHING && command.wish.snapshot)
		return command_usage(line.name, "a repair is of the whole image: --snapshot and -r "
						"exclude each other");
	command.findings = json_array();
	progress_init(&command.progress, &line, line.argument[0]);
	done = command.wish.repair ? repair_file(&command, &err) : check_file(&command, &err);
	progress_end(&command.progress);
	if (done < 0)
		status = command_fail(line.name, line.argument[0], &err);
	else
		status = finish(&command);
	json_decref(command.findings);
	return status;
}
