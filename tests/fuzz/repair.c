// SPDX-License-Identifier: MIT
/*
 * A repair of an image that may be anything, and the check of what came of it. What was not changed
 * is as it was, byte for byte; what was changed is no worse than before, and a second repair finds
 * nothing left that it could do. A guard sees to it that nothing is written over that is in use.
 */
#include "fuzz/bounded_image.h"
#include "fuzz/fuzz.h"
#include "io/file_mem.h"
#include "ops/repair.h"
#include "support/guard_file.h"

static void close_guard(struct qc_file *guard)
{
	if (guard_violation(guard)) {
		fprintf(stderr, "%s\n", guard_violation(guard));
		abort();
	}
	qc_file_close(guard);
}

static int repair(struct qc_file *image, bool leaks_only, struct qc_repair_report *ret,
		  struct qc_err *err)
{
	const struct qc_repair_options options = {.leaks_only = leaks_only};
	struct qc_repair_files files = {.image = guard_file_open(image, image)};
	unsigned int count;
	const struct qc_finding_sink sink = fuzz_sink(&count);
	int status;

	guard_file_believe_references(files.image);
	FUZZ_MUST(qc_file_mem_open(NULL, 0, &files.scratch[0], err) == 0);
	status = qc_repair_file(&files, &options, &sink, &sink, ret, err);
	qc_file_close(files.scratch[0]);
	close_guard(files.image);
	return status;
}

static uint64_t wrong(const struct qc_check_result *result)
{
	return result->corruptions + result->check_errors;
}

static void check_report(const struct qc_repair_report *report)
{
	if (!report->changed)
		return;
	FUZZ_MUST(report->after.completed);
	FUZZ_MUST(wrong(&report->after) <= wrong(&report->found));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	bool leaks_only = length > 0 && bytes[0] == 'q'; /* and 'Q' for all */
	struct qc_repair_report report, again;
	struct qc_file *file;
	struct qc_err err;
	uint8_t *copy = malloc(length + 1);
	int status;

	FUZZ_MUST(copy != NULL);
	memcpy(copy, bytes, length);
	if (length > 0)
		copy[0] = 'Q';
	fuzz_bound_image(copy, length);
	FUZZ_MUST(qc_file_mem_open(copy, length, &file, &err) == 0);
	status = repair(file, leaks_only, &report, &err);
	if (status < 0)
		FUZZ_MUST(err.text[0] != '\0');
	else
		check_report(&report);
	if (status == 0 && report.changed) {
		FUZZ_MUST(repair(file, leaks_only, &again, &err) == 0);
		FUZZ_MUST(wrong(&again.after) <= wrong(&report.after));
	}
	qc_file_close(file);
	free(copy);
	return 0;
}
