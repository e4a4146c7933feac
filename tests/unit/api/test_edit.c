// SPDX-License-Identifier: MIT
#include "unit/api/fixture.h"

static void what_is_committed_is_there_and_what_is_aborted_is_not(void **state)
{
	struct qcowtool_report report;
	struct qcowtool_edit *edit;
	char seen[4] = "";
	struct scene s;

	(void)state;
	start(&s);
	put(&s, 1000, "old");
	assert_int_equal(qcowtool_begin(s.path, 0, &edit, &s.error), 0);
	assert_int_equal(qcowtool_write(edit, 1000, "new", 3, &s.error), 0);
	assert_int_equal(qcowtool_edit_read(edit, 1000, seen, 3, &s.error), 0);
	assert_string_equal(seen, "new");
	qcowtool_abort(edit);
	shows(&s, NULL, 1000, "old");

	assert_int_equal(qcowtool_begin(s.path, 0, &edit, &s.error), 0);
	assert_int_equal(qcowtool_write(edit, 1000, "new", 3, &s.error), 0);
	assert_int_equal(qcowtool_commit(edit, &report, &s.error), 0);
	assert_int_equal(report.bytes_written, 3);
	assert_int_equal(report.changed, 1);
	assert_int_equal(guarded.flips, 2);
	shows(&s, NULL, 1000, "new");
	end(&s);
}

static void after_a_failed_call_nothing_can_be_committed(void **state)
{
	struct qcowtool_edit *edit;
	struct scene s;

	(void)state;
	start(&s);
	put(&s, 0, "old");
	assert_int_equal(qcowtool_begin(s.path, 0, &edit, &s.error), 0);
	assert_int_equal(qcowtool_write(edit, 0, "new", 3, NULL), 0);
	assert_int_equal(qcowtool_write(edit, DISK_BYTES - 1, "ab", 2, &s.error),
			 -QCOWTOOL_E_RANGE);
	assert_int_equal(s.error.code, QCOWTOOL_E_RANGE);
	assert_int_equal(qcowtool_zero(edit, 0, 1, NULL), -QCOWTOOL_E_ARGUMENT);
	assert_int_equal(qcowtool_commit(edit, NULL, &s.error), -QCOWTOOL_E_ARGUMENT);
	shows(&s, NULL, 0, "old");
	end(&s);
}

/* The crypt method in its header says AES; nothing else does. */
static void an_encrypted_image_is_neither_changed_nor_read(void **state)
{
	struct qcowtool_edit *edit = NULL;
	struct scene s;
	FILE *file;

	(void)state;
	start(&s);
	put(&s, 0, "cipher");
	file = fopen(s.path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, 35, SEEK_SET), 0);
	assert_int_equal(fputc(1, file), 1);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(qcowtool_begin(s.path, 0, &edit, &s.error), -QCOWTOOL_E_UNSUPPORTED);
	assert_null(edit);
	assert_int_equal(qcowtool_snapshot_create(s.path, "one", 0, 0, &s.error), 0);
	end(&s);
}

static void zeroes_discards_and_growth_take_effect(void **state)
{
	struct qcowtool_image *image;
	struct qcowtool_edit *edit;
	char seen[3] = "";
	struct scene s;

	(void)state;
	start(&s);
	put(&s, 0, "abcdef");
	assert_int_equal(qcowtool_begin(s.path, 0, &edit, &s.error), 0);
	assert_int_equal(qcowtool_zero(edit, 1, 1, &s.error), 0);
	assert_int_equal(qcowtool_discard(edit, 3, 1, &s.error), 0);
	assert_int_equal(qcowtool_grow(edit, 2 * DISK_BYTES, &s.error), 0);
	assert_int_equal(qcowtool_edit_disk_bytes(edit), 2 * DISK_BYTES);
	assert_int_equal(qcowtool_commit(edit, NULL, &s.error), 0);
	assert_int_equal(qcowtool_open(s.path, NULL, 0, &image, &s.error), 0);
	assert_int_equal(qcowtool_disk_bytes(image), 2 * DISK_BYTES);
	assert_int_equal(qcowtool_read(image, 1, seen, 3, &s.error), 0);
	assert_memory_equal(seen, "\0c\0", 3);
	qcowtool_close(image);
	end(&s);
}

static void a_dry_run_changes_nothing(void **state)
{
	struct qcowtool_report report;
	struct qcowtool_edit *edit;
	struct scene s;

	(void)state;
	start(&s);
	put(&s, 0, "old");
	assert_int_equal(qcowtool_begin(s.path, QCOWTOOL_DRY_RUN, &edit, &s.error), 0);
	assert_int_equal(qcowtool_write(edit, 0, "new", 3, &s.error), 0);
	assert_int_equal(qcowtool_commit(edit, &report, &s.error), 0);
	assert_int_equal(report.bytes_written, 3);
	shows(&s, NULL, 0, "old");
	end(&s);
}

static void snapshots_are_made_applied_renamed_and_deleted(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	put(&s, 0, "old");
	assert_int_equal(qcowtool_snapshot_create(s.path, "a", 1, 0, &s.error), 0);
	put(&s, 0, "new");
	shows(&s, "a", 0, "old");
	assert_int_equal(qcowtool_snapshot_rename(s.path, "a", "b", 0, &s.error), 0);
	assert_int_equal(qcowtool_snapshot_apply(s.path, "a", 0, NULL), -QCOWTOOL_E_NOT_FOUND);
	shows(&s, NULL, 0, "new");
	assert_int_equal(qcowtool_snapshot_apply(s.path, "b", 0, &s.error), 0);
	shows(&s, NULL, 0, "old");
	assert_int_equal(qcowtool_snapshot_delete(s.path, "b", 0, &s.error), 0);
	assert_int_equal(qcowtool_snapshot_delete(s.path, "b", 0, &s.error), -QCOWTOOL_E_NOT_FOUND);
	end(&s);
}

static void an_image_that_is_read_is_locked_against_edits(void **state)
{
	struct qcowtool_edit *edit = NULL;
	struct qcowtool_image *image;
	struct scene s;

	(void)state;
	start(&s);
	assert_int_equal(qcowtool_open(s.path, NULL, 0, &image, &s.error), 0);
	assert_int_equal(qcowtool_begin(s.path, 0, &edit, &s.error), -QCOWTOOL_E_LOCKED);
	assert_null(edit);
	qcowtool_close(image);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_committed_is_there_and_what_is_aborted_is_not),
		cmocka_unit_test(after_a_failed_call_nothing_can_be_committed),
		cmocka_unit_test(an_encrypted_image_is_neither_changed_nor_read),
		cmocka_unit_test(zeroes_discards_and_growth_take_effect),
		cmocka_unit_test(a_dry_run_changes_nothing),
		cmocka_unit_test(snapshots_are_made_applied_renamed_and_deleted),
		cmocka_unit_test(an_image_that_is_read_is_locked_against_edits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
