// SPDX-License-Identifier: MIT
/* Puts the question of hostile.h to each case; one test of cmocka for each, under its name. */
#pragma once

#include <errno.h>

#include "unit/hostile/hostile.h"

#define SNAPSHOTS_READ 4 /* of each image */

struct answers {
	char open[1024], found[1024], read[1024], write[1024];
};

static inline int hostile_map_and_read(const struct qc_view *view, struct qc_err *err)
{
	static uint8_t buffer[1 << 16];
	struct qc_chain_extent extent;
	uint64_t end = qc_min(view->disk_bytes, 2 * DISK_BYTES), at = 0;
	int first = 0;

	for (unsigned int i = 0; i < MAP_MAX && at < view->disk_bytes && first == 0; i++) {
		first = qc_chain_map(view, qc_guest(at), view->disk_bytes - at, &extent, err);
		if (first == 0) {
			assert_true(extent.bytes > 0 && extent.bytes <= view->disk_bytes - at);
			at += extent.bytes;
		}
	}
	for (at = 0; at < end && first == 0; at += sizeof(buffer))
		first = qc_read(view, qc_guest(at), buffer, sizeof(buffer), err);
	return first;
}

/* The active disk, then the snapshots', up to the first error. */
static inline int hostile_read_image(struct qc_image *image, struct qc_err *err)
{
	struct qc_layer layer = {.path = (char *)"image",
				 .file = image->file,
				 .image = image,
				 .disk_bytes = image->header.disk_bytes};
	struct qc_view view;
	int status = qc_image_require_readable(image, err);

	if (status == 0) {
		qc_view_active(&layer, &view);
		status = hostile_map_and_read(&view, err);
	}
	for (size_t i = 0; i < qc_min(image->snapshots.count, SNAPSHOTS_READ) && status == 0; i++) {
		status = qc_view_snapshot(&layer, &image->snapshots.list[i], &view, err);
		if (status == 0) {
			status = hostile_map_and_read(&view, err);
			qc_view_clear(&view);
		}
	}
	return status;
}

static inline void hostile_open(struct qc_file *file, struct answers *ret)
{
	struct found found;
	struct qc_finding_sink sink = found_sink(&found);
	struct qc_image *image;
	struct qc_err err;

	if (qc_image_open(file, NULL, &image, &err) < 0) {
		snprintf(ret->open, sizeof(ret->open), "%s", err.text);
	} else {
		if (hostile_read_image(image, &err) < 0)
			snprintf(ret->read, sizeof(ret->read), "%s", err.text);
		qc_image_close(image);
	}
	/* Leniently, whatever can be read of it is, and nothing is expected. */
	if (qc_image_open(file, &sink, &image, &err) == 0) {
		hostile_read_image(image, &err);
		qc_image_close(image);
	}
}

static inline void hostile_check(struct qc_file *file, struct answers *ret)
{
	const struct qc_check_options options = {0};
	struct qc_check_result result = {0};
	struct found found;
	struct qc_finding_sink sink = found_sink(&found);
	size_t used = 0;
	struct qc_err err;

	if (qc_check_run(file, &options, &sink, &result, &err) < 0) {
		snprintf(ret->found, sizeof(ret->found), "! %.512s", err.text);
		return;
	}
	if (!result.completed)
		used = (size_t)snprintf(ret->found, sizeof(ret->found), "!");
	for (unsigned int id = 0; id < QC_FINDING_COUNT; id++)
		if (found.count[id] > 0)
			used += (size_t)snprintf(ret->found + used, sizeof(ret->found) - used,
						 "%s%s", used ? " " : "",
						 qc_finding_kind((enum qc_finding_id)id)->id);
}

/* A part of a cluster, a zeroed and a discarded one, and a new one far away. */
static inline int hostile_edits(struct qc_txn *txn, struct qc_err *err)
{
	uint64_t cluster = DISK_BYTES / 192; /* the larger of both sizes */
	static const uint8_t bytes[5000] = {1, 2, 3};
	struct qc_txn_report report;
	int status;

	if ((status = qc_txn_write(txn, qc_guest(4096 + 10), bytes, sizeof(bytes), err)) < 0
	    || (status = qc_txn_zero(txn, qc_guest(0), 4096, err)) < 0
	    || (status = qc_txn_discard(txn, qc_guest(5 * 4096), 4096, err)) < 0
	    || (status = qc_txn_write(txn, qc_guest(DISK_BYTES - cluster), bytes, 100, err)) < 0) {
		qc_txn_abort(txn);
		return status;
	}
	return qc_txn_commit(txn, &report, err);
}

static inline int hostile_transaction(struct qc_file *file, struct qc_err *err)
{
	const struct qc_txn_options options = {0};
	struct qc_file *guard = guard_file_open(file, file);
	struct qc_image *image = NULL;
	struct qc_txn *txn;
	int status = qc_image_open(guard, NULL, &image, err);

	if (status == 0)
		status = qc_txn_begin(image, NULL, &options, &txn, err);
	if (status == 0)
		status = hostile_edits(txn, err);
	qc_image_close(image);
	end_guard(guard);
	return status;
}

static inline void hostile_write(struct qc_file *file, const uint8_t *bytes, size_t length,
				 struct answers *ret)
{
	char why[512] = "";
	struct qc_err err;
	bool sound;

	if (hostile_transaction(file, &err) < 0) {
		snprintf(ret->write, sizeof(ret->write), "%s", err.text);
		sound = soundness_after_refusal(file, bytes, length, why, sizeof(why));
	} else {
		sound = soundness_after_commit(file, bytes, length, why, sizeof(why));
	}
	if (!sound)
		fail_msg("%s", why);
}

/* The bytes belong to the builder, which is the caller's to free. */
static inline struct builder *hostile_make(const struct hostile *c, uint8_t **ret_bytes,
					   size_t *ret_length)
{
	struct builder *b = hostile_base(c->with);

	builder_finish(b, ret_bytes, ret_length);
	for (size_t i = 0; i < EDITS_MAX && c->edits[i].place != PLACE_NONE; i++)
		hostile_edit(b, &c->edits[i], *ret_bytes, *ret_length);
	return b;
}

static inline void hostile_ask(const struct hostile *c, struct answers *ret)
{
	struct qc_file *file;
	struct qc_err err;
	struct builder *b;
	uint8_t *bytes;
	size_t length;

	memset(ret, 0, sizeof(*ret));
	b = hostile_make(c, &bytes, &length);
	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	hostile_open(file, ret);
	hostile_check(file, ret);
	assert_memory_equal(qc_file_mem_bytes(file), bytes, length);
	hostile_write(file, bytes, length, ret);
	qc_file_close(file);
	builder_free(b);
}

static inline void hostile_expect(const char *what, const char *expected, const char *answer)
{
	if (expected == NULL ? answer[0] != '\0' : strstr(answer, expected) == NULL)
		fail_msg("%s: expected \"%s\", got \"%s\"", what, expected ? expected : "success",
			 answer);
}

static inline void hostile_test(void **state)
{
	const struct hostile *c = *state;
	struct answers answers;

	hostile_ask(c, &answers);
	hostile_expect("open", c->open, answers.open);
	if (strcmp(c->found, answers.found) != 0)
		fail_msg("found: expected \"%s\", got \"%s\"", c->found, answers.found);
	hostile_expect("read", c->read, answers.read);
	hostile_expect("write", c->write, answers.write);
}

/* For tests/cli/hostile, which asks the program: each image under the name of its case. */
static inline int hostile_save(const struct hostile *cases, size_t count, const char *folder)
{
	char path[4096];

	for (size_t i = 0; i < count; i++) {
		uint8_t *bytes;
		size_t length;
		struct builder *b = hostile_make(&cases[i], &bytes, &length);
		int used = snprintf(path, sizeof(path), "%s/%s: ", folder,
				    program_invocation_short_name);

		snprintf(path + used, sizeof(path) - (size_t)used, "%s", cases[i].name);
		for (char *c = path + used; *c != '\0'; c++)
			if (*c == '/')
				*c = '_';
		builder_write_file(b, path);
		builder_free(b);
	}
	return 0;
}

static inline int hostile_main(const struct hostile *cases, size_t count)
{
	struct CMUnitTest *tests;
	int failed;

	if (getenv("HOSTILE_FOLDER"))
		return hostile_save(cases, count, getenv("HOSTILE_FOLDER"));
	tests = test_calloc(count, sizeof(*tests));
	for (size_t i = 0; i < count; i++)
		tests[i] = (struct CMUnitTest){.name = cases[i].name,
					       .test_func = hostile_test,
					       .initial_state = (void *)(uintptr_t)&cases[i]};
	failed = _cmocka_run_group_tests("hostile", tests, count, NULL, NULL);
	test_free(tests);
	return failed;
}
