// SPDX-License-Identifier: MIT
#include "support/soundness.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "check/check.h"
#include "image/image.h"
#include "io/file_mem.h"
#include "txn/journal.h"

static void ignore(void *context, const struct qc_finding *finding)
{
	(void)context;
	(void)finding;
}

static bool check(struct qc_file *file, struct qc_check_result *ret)
{
	const struct qc_check_options options = {.findings_max = 1};
	const struct qc_finding_sink sink = {.take = ignore};
	struct qc_err err;

	return qc_check_run(file, &options, &sink, ret, &err) == 0;
}

/* The old image as if it had been that long: counts beyond its end are not looked at before. */
static bool check_longer(const uint8_t *old, uint64_t old_bytes, uint64_t bytes,
			 struct qc_check_result *ret)
{
	struct qc_file *file;
	struct qc_err err;
	bool done;

	if (qc_file_mem_open(old, (size_t)old_bytes, &file, &err) < 0)
		return false;
	done = qc_file_resize(file, qc_max(old_bytes, bytes), &err) == 0 && check(file, ret);
	qc_file_close(file);
	return done;
}

/*
 * An image that had counts too low already may get more of them: who edits it is not told how many
 * references there are. A sound one must stay sound.
 */
static bool is_worse(const struct qc_check_result *after, const struct qc_check_result *before)
{
	if (before->corruptions > 0)
		return after->check_errors > before->check_errors;
	return after->corruptions > before->corruptions || after->leaks > before->leaks
	       || after->check_errors > before->check_errors;
}

static bool check_is_worse(struct qc_file *file, const uint8_t *old, uint64_t old_bytes, char *why,
			   size_t why_bytes)
{
	struct qc_check_result before = {0}, after = {0};

	if (check(file, &after) && check_longer(old, old_bytes, old_bytes, &before)
	    && (!is_worse(&after, &before)
		|| (check_longer(old, old_bytes, file->bytes, &before)
		    && !is_worse(&after, &before))))
		return false;
	snprintf(why, why_bytes,
		 "the check is worse: corruptions %" PRIu64 " -> %" PRIu64 ", leaks %" PRIu64
		 " -> %" PRIu64 ", errors %" PRIu64 " -> %" PRIu64,
		 before.corruptions, after.corruptions, before.leaks, after.leaks,
		 before.check_errors, after.check_errors);
	return true;
}

bool soundness_after_refusal(const struct qc_file *file, const uint8_t *old, uint64_t old_bytes,
			     char *why, size_t why_bytes)
{
	if (file->bytes != old_bytes)
		snprintf(why, why_bytes,
			 "refused, but the length changed from %" PRIu64 " to %" PRIu64, old_bytes,
			 file->bytes);
	else if (old_bytes > 0 && memcmp(qc_file_mem_bytes(file), old, (size_t)old_bytes) != 0)
		snprintf(why, why_bytes, "refused, but bytes changed");
	else
		return true;
	return false;
}

bool soundness_after_commit(struct qc_file *file, const uint8_t *old, uint64_t old_bytes, char *why,
			    size_t why_bytes)
{
	struct qc_journal journal;
	struct qc_image *image;
	bool found = true;
	struct qc_err err;

	if (qc_journal_find(file, &found, &journal, &err) < 0 || found) {
		snprintf(why, why_bytes, "committed, but there is a journal");
		return false;
	}
	if (qc_image_open(file, NULL, &image, &err) < 0) {
		snprintf(why, why_bytes, "committed, but refused when opened: %.200s", err.text);
		return false;
	}
	qc_image_close(image);
	return !check_is_worse(file, old, old_bytes, why, why_bytes);
}
