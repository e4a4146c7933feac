// SPDX-License-Identifier: MIT
/*
 * Edits of images with an external data file: every state that a crash can leave in the two files,
 * each change that can fail, and what recovery believes.
 */
#include "unit/txn/data_file_lab.h"

#include "txn/recover.h"
#include "txn/txn_state.h"

/* --- judging a state --- */

static void assert_raw_agrees(const struct lab *lab, struct qc_file *data, const uint8_t *guest,
			      size_t length)
{
	uint8_t *raw = malloc(GUEST_MAX);
	struct qc_err err;

	assert_int_equal(qc_file_read(data, 0, raw, length, &err), 0);
	if (lab->mode->raw)
		assert_memory_equal(raw, guest, length);
	free(raw);
}

/* Whether the state is the new one; it must be that or the old one. */
static bool is_new(const struct lab *lab, struct qc_file *image, struct qc_file *data)
{
	uint8_t *seen = malloc(GUEST_MAX);
	bool marked, new;

	look(image, data, seen, GUEST_MAX, &marked);
	assert_false(marked);
	new = memcmp(seen, lab->new, GUEST_MAX) == 0;
	if (!new)
		assert_memory_equal(seen, lab->old, GUEST_MAX);
	assert_raw_agrees(lab, data, seen, new ? lab->new_bytes : lab->disk_bytes);
	free(seen);
	return new;
}

/* Nothing but old and new bytes, in a committed image. */
static void assert_mixed(const struct lab *lab, struct qc_file *image, struct qc_file *data)
{
	uint8_t *seen = malloc(GUEST_MAX);
	bool marked;

	look(image, data, seen, GUEST_MAX, &marked);
	assert_true(marked);
	for (size_t i = 0; i < GUEST_MAX; i++)
		if (seen[i] != lab->old[i] && seen[i] != lab->new[i])
			fail_msg("guest byte %zu is neither old nor new", i);
	free(seen);
}

static int recover(struct qc_file *image, struct qc_file *data, struct qc_recover_plan *plan,
		   struct qc_err *err)
{
	struct qc_file *guard = guard_file_open(image, image);
	struct qc_file *data_guard = guard_file_open_data(data, guard);
	int status = qc_recover_look(guard, plan, err);

	if (status == 0 && plan->redo)
		plan->data = data_guard;
	if (status == 0)
		status = qc_recover_apply(guard, plan, err);
	qc_file_close(data_guard);
	end_guard(guard);
	return status;
}

struct again {
	const struct lab *lab;
};

static void judge_recovered_again(void *context, struct qc_file *image, struct qc_file *data,
				  size_t crash)
{
	const struct again *again = context;
	struct qc_recover_plan plan;
	struct qc_err err;

	if (recover(image, data, &plan, &err) < 0)
		fail_msg("second recovery after %zu: %s", crash, err.text);
	assert_true(is_new(again->lab, image, data));
}

/* Recovery may crash too, anywhere. */
static void recover_with_crashes(struct lab *lab, struct qc_file *image, struct qc_file *data)
{
	struct content before[FILES] = {content_of(image), content_of(data)};
	struct two_log log = {.fail_at = SIZE_MAX};
	struct again again = {lab};
	struct qc_file *file[FILES];
	struct qc_recover_plan plan;
	struct qc_err err;

	for (int f = 0; f < FILES; f++)
		file[f] = recorder_open(mem_of(&before[f]), f, &log);
	assert_int_equal(recover(file[IMAGE], file[DATA], &plan, &err), 0);
	assert_int_equal(plan.state, QC_RECOVER_REDO);
	assert_true(is_new(lab, file[IMAGE], file[DATA]));
	each_state(before, &log, judge_recovered_again, &again);
	for (int f = 0; f < FILES; f++) {
		qc_file_close(file[f]);
		free(before[f].bytes);
	}
	two_log_clear(&log);
}

static void judge(void *context, struct qc_file *image, struct qc_file *data, size_t crash)
{
	struct lab *lab = context;
	struct qc_recover_plan plan;
	struct qc_err err;
	bool new = false;

	if (qc_recover_look(image, &plan, &err) < 0)
		fail_msg("after %zu: %s", crash, err.text);
	if (plan.redo) {
		assert_mixed(lab, image, data);
		new = true;
		/* Each is recovered; the recoveries of some are broken off as well. */
		if (lab->pending++ % 32 == 0)
			recover_with_crashes(lab, image, data);
	} else {
		new = is_new(lab, image, data);
	}
	if (recover(image, data, &plan, &err) < 0)
		fail_msg("recovery after %zu: %s", crash, err.text);
	assert_int_equal(is_new(lab, image, data), new);
	assert_sound_but(image, 0);
}

static void every_crash_leaves_the_old_image_or_the_new_one(void **state)
{
	struct lab lab;

	(void)state;
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		size_t states;

		set_up(&lab, &modes[m]);
		if (end(&lab, begin(&lab) < 0 ? -1 : edit(&lab)) < 0)
			fail_msg("%s: %s", modes[m].name, lab.err.text);
		assert_true(is_new(&lab, lab.file[IMAGE], lab.file[DATA]));
		states = each_state(lab.before, &lab.log, judge, &lab);
		print_message("%s: %zu operations, %zu states, %zu of them with redo\n",
			      modes[m].name, lab.log.count, states, lab.pending);
		assert_true(states > 100 && lab.pending > 10);
		tear_down(&lab);
	}
}

/* --- failures and aborts --- */

static void assert_as_before(struct lab *lab)
{
	for (int f = 0; f < FILES; f++)
		assert_true(same_file(recorded(lab->recorder[f]), lab->before[f].bytes,
				      lab->before[f].length));
}

static void an_aborted_transaction_leaves_both_files_as_they_were(void **state)
{
	struct lab lab;

	(void)state;
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		set_up(&lab, &modes[m]);
		assert_int_equal(begin(&lab), 0);
		assert_int_equal(edit(&lab), 0);
		end(&lab, -1);
		assert_as_before(&lab);
		tear_down(&lab);
	}
}

/* A commit with so short a journal; how often sector 0 was written. */
static int commit_with(struct lab *lab, uint64_t records_max, bool redo, unsigned int *ret_flips)
{
	int status;

	assert_int_equal(begin(lab), 0);
	lab->txn->journal_records_max = records_max;
	status = redo ? edit(lab) : put(lab, 8 * lab->cluster + 1, 5, 0xa6);
	assert_int_equal(status, 0);
	status = end(lab, 0);
	*ret_flips = guard_flips(lab->file[IMAGE]);
	return status;
}

static uint64_t records_written(const struct lab *lab)
{
	struct qc_journal_head head;
	struct qc_err err;

	for (size_t i = 0; i < lab->log.count; i++) {
		const struct op *op = &lab->log.ops[i];

		if (op->file == IMAGE && op->kind == OP_WRITE
		    && op->length == sizeof(struct qc_disk_journal_head)
		    && qc_journal_head_decode((const void *)op->bytes, &head, &err) == 0)
			return head.records;
	}
	return 0;
}

/* Nothing is committed yet then. As soon as those have room that are needed, there are no others. */
static void redo_that_no_journal_can_name_is_refused(void **state)
{
	unsigned int flips;
	struct lab lab;

	(void)state;
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		uint64_t all, most;
		int status = -1;

		set_up(&lab, &modes[m]);
		assert_int_equal(commit_with(&lab, QC_JOURNAL_RECORDS_MAX, true, &flips), 0);
		all = records_written(&lab);
		tear_down(&lab);
		for (most = 0; status != 0; most++) {
			set_up(&lab, &modes[m]);
			status = commit_with(&lab, most, true, &flips);
			assert_int_equal(flips, status == 0 ? 2 : 0);
			if (status == 0) {
				assert_true(is_new(&lab, lab.file[IMAGE], lab.file[DATA]));
				assert_int_equal(records_written(&lab), most);
			} else {
				assert_int_equal(status, -QC_E_UNSUPPORTED);
				assert_non_null(strstr(lab.err.text, "make them in parts"));
				assert_as_before(&lab);
			}
			tear_down(&lab);
		}
		assert_true(most > 5 && most <= all);
	}
}

/* Such a commit is old or new, whatever becomes of its journal. */
static void without_redo_a_journal_may_be_too_long(void **state)
{
	unsigned int flips;
	struct lab lab;

	(void)state;
	set_up(&lab, &modes[0]);
	assert_int_equal(commit_with(&lab, 0, false, &flips), 0);
	assert_int_equal(flips, 1);
	assert_sound(lab.file[IMAGE]);
	tear_down(&lab);
}

static void whatever_change_fails_leaves_the_old_image_or_one_to_recover(void **state)
{
	struct lab lab;
	size_t undone = 0, finished = 0;

	(void)state;
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++)
		for (size_t k = 0;; k++) {
			struct qc_recover_plan plan;
			int status;

			set_up(&lab, &modes[m]);
			lab.log.fail_at = k;
			status = begin(&lab);
			status = end(&lab, status < 0 ? status : edit(&lab));
			if (lab.log.fail_at != SIZE_MAX) { /* there are no more than k */
				tear_down(&lab);
				break;
			}
			if (status == -QC_E_OUTCOME_UNKNOWN) {
				if (recover(lab.recorder[IMAGE], lab.recorder[DATA], &plan,
					    &lab.err)
				    < 0)
					fail_msg("%zu: %s", k, lab.err.text);
				is_new(&lab, lab.recorder[IMAGE], lab.recorder[DATA]);
				finished++;
			} else if (status < 0) {
				assert_as_before(&lab);
				undone++;
			}
			tear_down(&lab);
		}
	assert_true(undone > 20 && finished > 20);
}

/* --- what recovery believes --- */

/* Both files as a crash right after the commit leaves them. */
static void crash_before_redo(struct lab *lab, struct content ret[FILES])
{
	struct choice all = {ALL, 0};
	size_t crash;

	set_up(lab, &modes[0]);
	if (end(lab, begin(lab) < 0 ? -1 : edit(lab)) < 0)
		fail_msg("%s", lab->err.text);
	for (crash = 0; crash < lab->log.count; crash++)
		if (lab->log.ops[crash].file == IMAGE && lab->log.ops[crash].kind == OP_WRITE
		    && lab->log.ops[crash].offset == 0)
			break;
	for (int f = 0; f < FILES; f++) {
		struct qc_file *mem = crashed(&lab->before[f], &lab->log, crash + 1, f, all);

		ret[f] = content_of(mem);
		qc_file_close(mem);
	}
	close_lab(lab);
	two_log_clear(&lab->log);
	open_lab(lab, ret);
}

static int keep_first_data(void *context, const struct qc_journal_record *record,
			   struct qc_err *err)
{
	struct qc_journal_record *ret = context;

	(void)err;
	if (record->kind == QC_JOURNAL_DATA && ret->length == 0)
		*ret = *record;
	return 0;
}

static void take_first_data(struct qc_file *file, const struct qc_journal *journal,
			    struct qc_journal_record *ret)
{
	struct qc_err err;

	*ret = (struct qc_journal_record){0};
	assert_int_equal(qc_journal_each(file, journal, keep_first_data, ret, &err), 0);
	assert_true(ret->length > 0);
}

static void damaged_redo_content_is_refused_before_anything_changes(void **state)
{
	struct content crashed_files[FILES];
	struct qc_journal_record record;
	struct qc_recover_plan plan;
	struct lab lab;
	size_t changes;

	(void)state;
	crash_before_redo(&lab, crashed_files);
	assert_int_equal(qc_recover_look(lab.file[IMAGE], &plan, &lab.err), 0);
	assert_int_equal(plan.state, QC_RECOVER_REDO);
	take_first_data(lab.file[IMAGE], &plan.journal, &record);
	assert_int_equal(qc_file_write(lab.recorder[IMAGE], record.new_host.byte + 77, "?", 1,
				       &lab.err),
			 0);
	changes = lab.log.count;
	assert_int_equal(recover(lab.recorder[IMAGE], lab.recorder[DATA], &plan, &lab.err),
			 -QC_E_FORMAT);
	assert_non_null(strstr(lab.err.text, "is damaged; nothing was changed"));
	assert_int_equal(lab.log.count, changes);
	for (int f = 0; f < FILES; f++)
		free(crashed_files[f].bytes);
	tear_down(&lab);
}

/* Somebody took the mark away, so that others may have written to the data file since. */
static void nothing_is_redone_once_the_mark_is_gone(void **state)
{
	struct content crashed_files[FILES];
	struct qc_recover_plan plan;
	struct lab lab;
	uint8_t features[8];

	(void)state;
	crash_before_redo(&lab, crashed_files);
	assert_int_equal(qc_file_read(lab.file[IMAGE], 72, features, 8, &lab.err), 0);
	features[7] &= (uint8_t)~QC_INCOMPAT_CORRUPT;
	assert_int_equal(qc_file_write(lab.recorder[IMAGE], 72, features, 8, &lab.err), 0);
	assert_int_equal(recover(lab.recorder[IMAGE], lab.recorder[DATA], &plan, &lab.err), 0);
	assert_int_equal(plan.state, QC_RECOVER_COMMITTED);
	assert_false(plan.redo);
	assert_true(same_file(recorded(lab.recorder[DATA]), crashed_files[DATA].bytes,
			      crashed_files[DATA].length));
	for (int f = 0; f < FILES; f++)
		free(crashed_files[f].bytes);
	tear_down(&lab);
}

static void an_edit_of_guest_bytes_needs_the_data_file(void **state)
{
	const struct qc_txn_options options = {0}, compress = {.compress = true};
	struct lab lab;

	(void)state;
	set_up(&lab, &modes[0]);
	assert_int_equal(qc_image_open(lab.file[IMAGE], NULL, &lab.image, &lab.err), 0);
	assert_int_equal(qc_txn_begin(lab.image, NULL, &compress, &lab.txn, &lab.err),
			 -QC_E_UNSUPPORTED);
	assert_int_equal(qc_txn_begin(lab.image, NULL, &options, &lab.txn, &lab.err), 0);
	assert_int_equal(qc_txn_write(lab.txn, qc_guest(0), "x", 1, &lab.err), -QC_E_UNSUPPORTED);
	end(&lab, -1);
	assert_as_before(&lab);
	tear_down(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_crash_leaves_the_old_image_or_the_new_one),
		cmocka_unit_test(an_aborted_transaction_leaves_both_files_as_they_were),
		cmocka_unit_test(redo_that_no_journal_can_name_is_refused),
		cmocka_unit_test(without_redo_a_journal_may_be_too_long),
		cmocka_unit_test(whatever_change_fails_leaves_the_old_image_or_one_to_recover),
		cmocka_unit_test(damaged_redo_content_is_refused_before_anything_changes),
		cmocka_unit_test(nothing_is_redone_once_the_mark_is_gone),
		cmocka_unit_test(an_edit_of_guest_bytes_needs_the_data_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
