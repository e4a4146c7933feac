// SPDX-License-Identifier: MIT
/*
 * The three calls are defined here, in front of the C library's: they write down what is asked of the
 * file system, can be slow, and ask for nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "io/file_mem.h"
#include "io/file_posix.h"
#include "io/write_behind.h"

#define MIB ((uint64_t)1 << 20)

struct asked {
	unsigned int calls;
	uint64_t offset, end; /* of the last one */
	uint64_t bytes;	      /* in all of them */
};

static struct asked reserved, started, dropped;
static unsigned int slow_ms;

static void note(struct asked *asked, off_t offset, off_t length)
{
	asked->calls++;
	asked->offset = (uint64_t)offset;
	asked->end = (uint64_t)(offset + length);
	asked->bytes += (uint64_t)length;
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	(void)fd;
	assert_int_equal(mode, FALLOC_FL_KEEP_SIZE);
	note(&reserved, offset, length);
	errno = EOPNOTSUPP;
	return -1;
}

int sync_file_range(int fd, off_t offset, off_t length, unsigned int flags)
{
	struct timespec pause = {.tv_nsec = (long)slow_ms * 1000000};

	(void)fd;
	/* Waiting for pages would also take an error that the next fsync is to report. */
	assert_int_equal(flags, SYNC_FILE_RANGE_WRITE);
	note(&started, offset, length);
	nanosleep(&pause, NULL);
	return 0;
}

int posix_fadvise(int fd, off_t offset, off_t length, int advice)
{
	(void)fd;
	assert_int_equal(advice, POSIX_FADV_DONTNEED);
	note(&dropped, offset, length);
	return 0;
}

/* A file of that length that nobody sees; writes to it are only told of. */
static struct qc_write_behind open_behind(uint64_t bytes, bool no_sync)
{
	char path[] = "/tmp/qcowtool-test-XXXXXX";
	struct qc_file_open how = {.writable = true, .no_sync = no_sync};
	struct qc_write_behind behind = {0};
	struct qc_err err;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	if (qc_file_posix_open(path, &how, &behind.file, &err) < 0)
		fail_msg("%s", err.text);
	close(fd);
	unlink(path);
	reserved = started = dropped = (struct asked){0};
	slow_ms = 0;
	return behind;
}

/* As if `bytes` were appended, a MiB at a time. */
static void append(struct qc_write_behind *behind, uint64_t offset, uint64_t bytes)
{
	for (uint64_t at = offset; at < offset + bytes; at += MIB) {
		behind->file->bytes = at + MIB;
		qc_write_behind_wrote(behind, at, MIB, offset + bytes - at - MIB);
	}
}

static void space_is_set_aside_ahead_and_never_more_than_is_to_come(void **state)
{
	struct qc_write_behind behind = open_behind(0, false);

	(void)state;
	behind.file->bytes = MIB;
	qc_write_behind_wrote(&behind, 0, MIB, 100 * MIB);
	assert_int_equal(reserved.calls, 1);
	assert_int_equal(reserved.offset, MIB);
	assert_true(reserved.end > MIB && reserved.end <= 101 * MIB);
	append(&behind, MIB, 100 * MIB);
	assert_int_equal(reserved.end, 101 * MIB);
	assert_int_equal(reserved.bytes, 100 * MIB); /* nothing twice */
	assert_true(reserved.calls < 10);
	qc_file_close(behind.file);
}

static void nothing_is_set_aside_for_writes_inside_the_file(void **state)
{
	struct qc_write_behind behind = open_behind(100 * MIB, false);

	(void)state;
	qc_write_behind_wrote(&behind, 10 * MIB, MIB, 50 * MIB);
	assert_int_equal(reserved.calls, 0);
	assert_int_equal(started.calls, 1);
	qc_write_behind_wrote(&behind, 99 * MIB, MIB, 0);
	assert_int_equal(reserved.calls, 0);
	qc_file_close(behind.file);
}

static void what_was_written_is_sent_at_once_and_leaves_the_cache_later(void **state)
{
	struct qc_write_behind behind = open_behind(0, false);

	(void)state;
	append(&behind, 0, 64 * MIB);
	assert_int_equal(started.bytes, 64 * MIB);
	assert_int_equal(dropped.calls, 0);
	append(&behind, 64 * MIB, 1000 * MIB);
	assert_int_equal(started.bytes, 1064 * MIB);
	assert_int_equal(dropped.bytes, dropped.end); /* from the start on, each once */
	assert_true(dropped.end >= 800 * MIB && dropped.end < 1000 * MIB);
	assert_true(dropped.calls < 100);
	qc_file_close(behind.file);
}

static void small_neighbours_are_sent_together(void **state)
{
	struct qc_write_behind behind = open_behind(100 * MIB, false);

	(void)state;
	for (uint64_t at = 10 * MIB; at < 14 * MIB; at += MIB / 4)
		qc_write_behind_wrote(&behind, at, MIB / 4, 0);
	assert_int_equal(started.calls, 4);
	assert_int_equal(started.bytes, 4 * MIB);
	assert_int_equal(started.end, 14 * MIB);
	qc_write_behind_wrote(&behind, 20 * MIB, MIB / 2, 0);
	qc_write_behind_wrote(&behind, 30 * MIB, MIB / 2, 0);
	assert_int_equal(started.calls, 4);
	qc_file_close(behind.file);
}

static void scattered_ranges_are_forgotten_rather_than_remembered_without_end(void **state)
{
	struct qc_write_behind behind = open_behind(4096 * MIB, false);

	(void)state;
	for (uint64_t i = 0; i < 2000; i++)
		qc_write_behind_wrote(&behind, i * 2 * MIB, MIB, 0);
	assert_int_equal(started.calls, 2000);
	assert_int_equal(behind.count, QC_WRITE_BEHIND_RANGES);
	assert_int_equal(behind.cached_bytes, QC_WRITE_BEHIND_RANGES * MIB);
	qc_file_close(behind.file);
}

static void without_syncs_nobody_waits_for_slow_storage(void **state)
{
	struct qc_write_behind behind = open_behind(0, true);

	(void)state;
	append(&behind, 0, 10 * MIB);
	assert_int_equal(started.calls, 10);
	slow_ms = 50;
	append(&behind, 10 * MIB, 10 * MIB);
	assert_int_equal(started.calls, 11);
	qc_file_close(behind.file);
	behind = open_behind(0, false);
	slow_ms = 50;
	append(&behind, 0, 4 * MIB);
	assert_int_equal(started.calls, 4);
	qc_file_close(behind.file);
}

static void files_in_memory_are_left_alone(void **state)
{
	struct qc_write_behind behind = open_behind(0, false);
	struct qc_err err;

	(void)state;
	qc_file_close(behind.file);
	assert_int_equal(qc_file_mem_open(NULL, 0, &behind.file, &err), 0);
	qc_write_behind_wrote(&behind, 0, MIB, 100 * MIB);
	assert_int_equal(reserved.calls + started.calls + dropped.calls, 0);
	qc_file_close(behind.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(space_is_set_aside_ahead_and_never_more_than_is_to_come),
		cmocka_unit_test(nothing_is_set_aside_for_writes_inside_the_file),
		cmocka_unit_test(what_was_written_is_sent_at_once_and_leaves_the_cache_later),
		cmocka_unit_test(small_neighbours_are_sent_together),
		cmocka_unit_test(scattered_ranges_are_forgotten_rather_than_remembered_without_end),
		cmocka_unit_test(without_syncs_nobody_waits_for_slow_storage),
		cmocka_unit_test(files_in_memory_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
