// SPDX-License-Identifier: MIT
#include "crash/scenario.h"

#include <string.h>

#include "base/checked.h"
#include "crash/calls.h"
#include "crash/must.h"
#include "crash/promises.h"
#include "ops/decompress.h"
#include "ops/rebase.h"
#include "ops/repair.h"
#include "txn/snapshot.h"

#define STEPS(...) .steps = {__VA_ARGS__, {0}}

/* A name as long as one can be made that leads to the new base. */
#define DOTS "./././././././././././././././././././././././././././././././"
#define LONG_WAY DOTS DOTS DOTS DOTS DOTS DOTS DOTS DOTS DOTS DOTS "new"

const struct edit_kind edit_kinds[] = {
	{"write-1", "write", STEPS({STEP_WRITE, 5, 1, true})},
	{"write-part", "write", STEPS({STEP_WRITE, 16 * 5 + 3, 7, false})},
	{"write-cluster", "write", STEPS({STEP_WRITE, 16, 16, false})},
	{"write-many", "write", STEPS({STEP_WRITE, 16 * 2 + 8, 16 * 4 + 5, false})},
	{"zero", "zero", STEPS({STEP_ZERO, 8, 16 * 3, false})},
	{"discard", "discard", STEPS({STEP_DISCARD, 0, 16 * 4 + 4, false})},
	{"compress", "compressed write", .compress = true, STEPS({STEP_WRITE, 16, 16 * 3, false})},
	{"grow", "grow", .grows = true, STEPS({STEP_GROW, 0, 16 * 70, false})},
	{"grow-write", "grow", .grows = true,
	 STEPS({STEP_GROW, 0, 16 * 9, false}, {STEP_WRITE, 16 * 6, 16 * 3, false})},
	{"script", "several of them", .compress = true,
	 STEPS({STEP_WRITE, 3, 9, true}, {STEP_ZERO, 16 * 3, 24, false},
	       {STEP_WRITE, 16 * 3 + 4, 4, false}, {STEP_DISCARD, 16 * 6, 16, false},
	       {STEP_WRITE, 16 * 6, 16, false}, {STEP_WRITE, 16 * 7 + 2, 3, false})},
	{"write-all", "write", STEPS({STEP_WRITE, 0, 16 * 8, false})},
	{"snapshot-create", "snapshot create", STEPS({.what = STEP_CREATE})},
	{"snapshot-apply", "snapshot apply", STEPS({.what = STEP_APPLY})},
	{"snapshot-delete", "snapshot delete", STEPS({.what = STEP_DELETE})},
	{"snapshot-rename", "snapshot rename", STEPS({.what = STEP_RENAME})},
	{"snapshot-script", "four in a row",
	 STEPS({.what = STEP_CREATE}, {.what = STEP_COMMIT}, {STEP_WRITE, 16 * 5 + 3, 7, false},
	       {.what = STEP_COMMIT}, {.what = STEP_APPLY}, {.what = STEP_COMMIT},
	       {.what = STEP_DELETE})},
	{"decompress", "decompress", VERB_DECOMPRESS, .again = true},
	{"decompress-batch", "decompress", VERB_DECOMPRESS, .batch = 1, .again = true},
	{"repair", "repair", VERB_REPAIR, .again = true},
	{"repair-leaks", "repair", VERB_REPAIR_LEAKS, .again = true},
	{"recover", "recover", VERB_RECOVER, .again = true},
	{"rebase", "rebase", VERB_REBASE, .base = "new", .again = true},
	{"rebase-compressed", "rebase", VERB_REBASE, .compress = true, .base = "new",
	 .again = true},
	{"rebase-flat", "rebase", VERB_REBASE, .again = true},
	{"rebase-long-name", "rebase", VERB_REBASE, .base = LONG_WAY, .again = true},
};
const size_t edit_kind_count = sizeof(edit_kinds) / sizeof(edit_kinds[0]);

const struct edit_kind edit_after_crash = {
	.name = "after-crash",
	STEPS({STEP_WRITE, 7, 1, true}, {STEP_WRITE, 16 * 4 + 2, 9, false},
	      {STEP_DISCARD, 16 * 6, 16, false}),
};

/* --- which edit of which image --- */

static bool steps_fit(const struct edit_kind *edit, const struct image_kind *kind)
{
	if (kind->damage != DAMAGE_NONE || kind->interrupted != INTERRUPTED_NO)
		return false;
	/* Snapshots of version 2 do not know their size. */
	if (edit->grows)
		return (kind->version >= 3 || !kind->snapshots) && !kind->backing;
	/* A snapshot cannot be applied beside a bitmap. */
	for (const struct edit_step *s = edit->steps; s->what != STEP_END; s++)
		if (s->what == STEP_APPLY && (kind->watched || kind->bitmap))
			return false;
	switch (edit->steps[0].what) {
	case STEP_CREATE:
		return kind->refcount_order > 0; /* nothing can be shared where counts end at 1 */
	case STEP_APPLY:
	case STEP_DELETE:
	case STEP_RENAME:
		return kind->snapshots > 0;
	default:
		return true;
	}
}

bool edit_fits(const struct edit_kind *edit, const struct image_kind *kind)
{
	switch (edit->verb) {
	case VERB_DECOMPRESS:
		return kind->compressed;
	case VERB_REPAIR:
		return kind->damage != DAMAGE_NONE;
	case VERB_REPAIR_LEAKS:
		return kind->damage == DAMAGE_LEAKS;
	case VERB_RECOVER:
		return kind->interrupted != INTERRUPTED_NO;
	case VERB_REBASE:
		return kind->backing
		       && (!edit->base || strlen(edit->base) < 100 || kind->cluster_bits >= 12);
	case VERB_STEPS:
		break;
	}
	return steps_fit(edit, kind);
}

bool edit_repairs(const struct edit_kind *edit)
{
	return edit->verb == VERB_REPAIR || edit->verb == VERB_REPAIR_LEAKS;
}

/* --- steps --- */

static int write_step(const struct edit_step *e, uint32_t seed, struct qc_txn *txn,
		      struct qc_guest at, size_t length, struct qc_err *err)
{
	uint8_t *bytes = malloc(length);
	int status;

	if (!bytes)
		return qc_fail_memory(err);
	image_pattern(bytes, length, seed + e->at);
	/* A third is text, so that some clusters are worth compressing. */
	memset(bytes + length / 3, 'x', length - length / 3);
	status = qc_txn_write(txn, at, bytes, length, err);
	free(bytes);
	return status;
}

static int one_step(const struct edit_step *e, uint32_t seed, struct qc_txn *txn,
		    uint64_t cluster_bytes, struct qc_err *err)
{
	static const struct qc_snapshot_date date = {.sec = 1700000001, .nsec = 5};
	uint64_t unit = e->bytes ? 1 : cluster_bytes / 16;
	struct qc_guest at = qc_guest(e->at * unit);
	size_t length = (size_t)(e->length * unit);

	switch (e->what) {
	case STEP_WRITE:
		return write_step(e, seed, txn, at, length, err);
	case STEP_ZERO:
		return qc_txn_zero(txn, at, length, err);
	case STEP_DISCARD:
		return qc_txn_discard(txn, at, length, err);
	case STEP_GROW:
		return qc_txn_grow(txn, qc_txn_disk_bytes(txn) + length, err);
	case STEP_CREATE:
		return qc_txn_snapshot_create(txn, "made here", date, err);
	case STEP_APPLY:
		return qc_txn_snapshot_apply(txn, e->at, err);
	case STEP_DELETE:
		return qc_txn_snapshot_delete(txn, e->at, err);
	case STEP_RENAME:
		return qc_txn_snapshot_rename(txn, e->at, "another name, and a longer one", err);
	case STEP_COMMIT:
	case STEP_END:
		break;
	}
	return 0;
}

static int run_steps(const struct edit_kind *edit, uint32_t seed, struct qc_edit *e,
		     const struct qc_edit_options *how, struct qc_err *err)
{
	uint64_t cluster_bytes = e->image->geometry.cluster_bytes;
	struct qc_txn_report report;
	int status = 0;

	for (const struct edit_step *s = edit->steps; status == 0 && s->what != STEP_END; s++) {
		if (s->what != STEP_COMMIT)
			status = one_step(s, seed, e->txn, cluster_bytes, err);
		else if ((status = qc_edit_commit(e, &report, err)) == 0)
			status = qc_edit_again(e, how, err);
	}
	return status < 0 ? status : qc_edit_commit(e, &report, err);
}

/* --- verbs --- */

static int run_decompress(const struct edit_kind *edit, struct qc_edit *e,
			  const struct qc_edit_options *how, struct qc_err *err)
{
	const struct qc_decompress what = {
		.batch_bytes = (uint64_t)edit->batch << e->image->geometry.cluster_bits,
		.threads = 1,
	};
	struct qc_decompress_report report;

	return qc_decompress(e, how, &what, &report, err);
}

static int run_rebase(const struct edit_kind *edit, struct qc_edit *e, const char *path,
		      struct qc_err *err)
{
	const struct qc_rebase how = {
		.name = edit->base,
		.format = edit->base ? "raw" : NULL,
		.compress = edit->compress,
		.policy = QC_CHAIN_ANY,
	};
	struct qc_rebase_report report;
	struct qc_txn_report done;
	int status;

	if ((status = qc_rebase_check(&how, err)) < 0
	    || (status = qc_rebase(e, path, &how, &report, err)) < 0)
		return status;
	return qc_edit_commit(e, &done, err);
}

static int run_edit(const struct edit_kind *edit, uint32_t seed, const char *path,
		    struct qc_err *err)
{
	const struct qc_edit_options how = {
		.txn = {.compress = edit->compress},
		.policy = QC_CHAIN_ANY,
		.no_backing = edit->verb == VERB_DECOMPRESS,
	};
	struct qc_edit *e;
	int status = qc_edit_open(path, &how, &e, err);

	if (status < 0)
		return status;
	if (edit->verb == VERB_DECOMPRESS)
		status = run_decompress(edit, e, &how, err);
	else if (edit->verb == VERB_REBASE)
		status = run_rebase(edit, e, path, err);
	else
		status = run_steps(edit, seed, e, &how, err);
	qc_edit_close(e);
	return status;
}

static void ignore(void *context, const struct qc_finding *finding)
{
	(void)context, (void)finding;
}

static int run_repair(const struct edit_kind *edit, const char *path, struct qc_err *err)
{
	const struct qc_repair_options how = {.leaks_only = edit->verb == VERB_REPAIR_LEAKS};
	const struct qc_finding_sink nobody = {ignore, NULL};
	struct qc_repair_report report;

	return qc_repair(path, &how, &nobody, &nobody, &report, err);
}

static int run_recover(const char *path, struct qc_err *err)
{
	const struct qc_file_open how = {.writable = true, .lock = QC_LOCK_WRITE};
	struct qc_edit_data_how data_how = {.image_path = path, .policy = QC_CHAIN_ANY};
	struct qc_edit_data data = {0};
	struct qc_recover_plan plan;
	struct qc_file *file;
	int status = qc_file_posix_open(path, &how, &file, err);

	if (status < 0)
		return status;
	data_how.image_file = file;
	if ((status = qc_recover_look(file, &plan, err)) == 0
	    && (status = qc_edit_data_open_for_redo(&data, &data_how, file, &plan, err)) == 0)
		status = qc_recover_apply(file, &plan, err);
	qc_edit_data_close(&data);
	qc_file_close(file);
	return status;
}

int edit_file(const struct edit_kind *edit, uint32_t seed, const char *path, struct qc_err *err)
{
	switch (edit->verb) {
	case VERB_REPAIR:
	case VERB_REPAIR_LEAKS:
		return run_repair(edit, path, err);
	case VERB_RECOVER:
		return run_recover(path, err);
	case VERB_STEPS:
	case VERB_DECOMPRESS:
	case VERB_REBASE:
		break;
	}
	return run_edit(edit, seed, path, err);
}

void edit_bytes(const struct edit_kind *edit, uint32_t seed, struct image_bytes *image,
		struct crash_log *log, struct sight *sight)
{
	const char *path = folder_path("image");
	struct crash_log own = {0}, *to = log ? log : &own;
	const struct promises promises = {.image = image,
					  .log = to,
					  .sight = sight,
					  .first = to->count,
					  .damaged = edit_repairs(edit)};
	struct call_report report;
	const char *broken;
	struct qc_err err;
	int status;

	folder_put("image", image->bytes, image->size);
	calls_watch(path, NULL, to, NULL);
	calls_tell(sight);
	status = edit_file(edit, seed, path, &err);
	calls_done(&report);
	broken = promises_kept(&promises);
	if (status < 0 || broken)
		fprintf(stderr, "%s: %s\n", edit->name, broken ? broken : err.text);
	must(status == 0 && !broken);
	folder_get("image", image);
	crash_log_clear(&own);
}
