// SPDX-License-Identifier: MIT
/*
 * The system calls that the backend makes are defined here, in front of the C library's: they pass
 * on to the kernel, but interrupt, shorten or refuse as the test at hand wants it.
 */
#include "unit/io/file_model.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/file_posix.h"

enum mood {
	OBEDIENT,
	FLAKY,	     /* every other call is interrupted, the others transfer 7 bytes at most */
	STUCK,	     /* writes nothing, and says so */
	SHORT_FIRST, /* one byte less than asked */
};

static enum mood mood;
static int punch_errno;
static unsigned int calls;
static unsigned int syncs;
static char folder[] = "/tmp/qcowtool-test-XXXXXX";

static size_t granted(size_t wanted)
{
	calls++;
	if (mood == STUCK)
		return 0;
	if (mood == SHORT_FIRST)
		return wanted - 1;
	return mood == FLAKY && wanted > 7 ? 7 : wanted;
}

static bool interrupted(void)
{
	if (mood != FLAKY || calls++ % 2 != 0)
		return false;
	errno = EINTR;
	return true;
}

ssize_t pread(int fd, void *to, size_t length, off_t offset)
{
	if (interrupted())
		return -1;
	return syscall(SYS_pread64, fd, to, granted(length), offset);
}

ssize_t pwrite(int fd, const void *from, size_t length, off_t offset)
{
	if (interrupted())
		return -1;
	length = granted(length);
	return length == 0 ? 0 : syscall(SYS_pwrite64, fd, from, length, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (punch_errno != 0) {
		errno = punch_errno;
		return -1;
	}
	return interrupted() ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int fsync(int fd)
{
	syncs += 100;
	return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

static int set_up(void **state)
{
	(void)state;
	mood = OBEDIENT;
	punch_errno = 0;
	calls = 0;
	syncs = 0;
	return 0;
}

static int make_folder(void **state)
{
	(void)state;
	/* The program ignores it too, so that a limit on file sizes is an error like others. */
	signal(SIGXFSZ, SIG_IGN);
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static struct qc_file *open_new(const char *path, bool no_sync)
{
	const struct qc_file_open how = {.writable = true, .no_sync = no_sync};
	struct qc_file *file;
	struct qc_err err;
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(qc_file_posix_open(path, &how, &file, &err), 0);
	assert_int_equal(file->bytes, 0);
	return file;
}

static void walk(uint64_t seed, unsigned int steps)
{
	static struct file_model model;
	struct qc_file *file = open_new("walk", true);
	const struct qc_file_open how = {0};
	struct qc_file *again;
	struct qc_err err;

	model = (struct file_model){.seed = seed};
	model_walk(&model, file, steps);
	mood = OBEDIENT;
	assert_int_equal(qc_file_posix_open("walk", &how, &again, &err), 0);
	assert_int_equal(again->bytes, model.length);
	model_check_read(&model, again, 0, MODEL_BYTES_MAX);
	qc_file_close(again);
	qc_file_close(file);
	unlink("walk");
}

static void a_long_random_walk_matches_the_model(void **state)
{
	(void)state;
	walk(1, 3000);
}

static void interrupted_and_short_calls_still_transfer_everything(void **state)
{
	(void)state;
	mood = FLAKY;
	walk(2, 300);
	assert_true(calls > 10000);
}

static void where_punching_is_not_possible_zeroes_are_written(void **state)
{
	(void)state;
	punch_errno = EOPNOTSUPP;
	walk(3, 1000);
	punch_errno = EINVAL;
	walk(4, 1000);
}

static void other_failures_of_punching_are_reported(void **state)
{
	struct qc_file *file = open_new("file", true);
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_file_write(file, 0, "abc", 3, &err), 0);
	punch_errno = EIO;
	assert_int_equal(qc_file_punch(file, 0, 3, &err), -QC_E_IO);
	assert_string_equal(err.text, "punch of 3 bytes at offset 0x0: Input/output error");
	qc_file_close(file);
	unlink("file");
}

static void a_write_without_progress_is_an_error_not_an_endless_loop(void **state)
{
	struct qc_file *file = open_new("file", true);
	struct qc_err err;

	(void)state;
	mood = STUCK;
	assert_int_equal(qc_file_write(file, 64, "abc", 3, &err), -QC_E_NO_SPACE);
	assert_string_equal(err.text, "write of 3 bytes at offset 0x40: No space left on device");
	assert_int_equal(calls, 1);
	assert_int_equal(file->bytes, 0);
	qc_file_close(file);
	unlink("file");
}

static void the_commit_sector_is_written_by_one_call_or_not_at_all(void **state)
{
	struct qc_file *file = open_new("file", true);
	uint8_t sector[512] = {1};
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_file_write(file, 0, sector, 512, &err), 0);
	assert_int_equal(calls, 1);
	mood = SHORT_FIRST;
	calls = 0;
	assert_int_equal(qc_file_write(file, 0, sector, 512, &err), -QC_E_IO);
	assert_int_equal(calls, 1);
	/* Any other write is continued. */
	mood = FLAKY;
	assert_int_equal(qc_file_write(file, 512, sector, 512, &err), 0);
	assert_int_equal(file->bytes, 1024);
	qc_file_close(file);
	unlink("file");
}

static void a_limit_on_file_sizes_is_reported_and_the_length_is_true(void **state)
{
	const struct rlimit low = {.rlim_cur = 1000, .rlim_max = RLIM_INFINITY};
	struct qc_file *file = open_new("file", true);
	struct rlimit old;
	uint8_t bytes[3000] = {0};
	struct stat st;
	struct qc_err err;

	(void)state;
	getrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(qc_file_write(file, 0, bytes, sizeof(bytes), &err), -QC_E_NO_SPACE);
	assert_int_equal(err.os_errno, EFBIG);
	assert_int_equal(qc_file_resize(file, 2000, &err), -QC_E_NO_SPACE);
	assert_int_equal(err.os_errno, EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_size, 1000);
	assert_int_equal(file->bytes, 1000);
	qc_file_close(file);
	unlink("file");
}

static void a_file_that_shrinks_while_open_is_not_padded_in_silence(void **state)
{
	struct qc_file *file = open_new("file", true);
	uint8_t bytes[100] = {0};
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_file_write(file, 0, bytes, sizeof(bytes), &err), 0);
	assert_int_equal(truncate("file", 50), 0);
	assert_int_equal(qc_file_read(file, 0, bytes, 100, &err), -QC_E_CHANGED);
	assert_int_equal(qc_file_read(file, 0, bytes, 50, &err), 0);
	qc_file_close(file);
	unlink("file");
}

static void holes_are_told_from_data(void **state)
{
	struct qc_file *file = open_new("file", true);
	uint64_t run = 0;
	uint64_t occupied = 0;
	struct qc_err err;
	bool data;

	(void)state;
	assert_int_equal(qc_file_write(file, 1 << 20, "x", 1, &err), 0);
	assert_int_equal(qc_file_resize(file, 4 << 20, &err), 0);
	assert_int_equal(qc_file_extent(file, 0, 8 << 20, &data, &run, &err), 0);
	assert_false(data);
	assert_int_equal(run, 1 << 20);
	assert_int_equal(qc_file_extent(file, 1 << 20, 8 << 20, &data, &run, &err), 0);
	assert_true(data);
	assert_in_range(run, 1, 64 << 10);
	assert_int_equal(qc_file_extent(file, 3 << 20, 1000, &data, &run, &err), 0);
	assert_false(data);
	assert_int_equal(run, 1000);
	assert_true(qc_file_posix_occupied(file, &occupied));
	assert_in_range(occupied, 512, 64 << 10);
	qc_file_close(file);
	unlink("file");
}

static void sync_calls_are_made_unless_unwanted(void **state)
{
	struct qc_file *file = open_new("file", false);
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_file_sync(file, QC_SYNC_DATA, &err), 0);
	assert_int_equal(syncs, 1);
	assert_int_equal(qc_file_sync(file, QC_SYNC_FULL, &err), 0);
	assert_int_equal(syncs, 101);
	qc_file_close(file);
	unlink("file");
	file = open_new("file", true);
	assert_int_equal(qc_file_sync(file, QC_SYNC_FULL, &err), 0);
	assert_int_equal(syncs, 101);
	qc_file_close(file);
	unlink("file");
}

static void refuses(const char *path, bool writable, int code, const char *text)
{
	const struct qc_file_open how = {.writable = writable, .lock = QC_LOCK_READ};
	struct qc_file *file = NULL;
	struct qc_err err;

	assert_int_equal(qc_file_posix_open(path, &how, &file, &err), code);
	assert_string_equal(err.text, text);
	assert_null(file);
}

static void only_regular_files_and_block_devices_are_opened(void **state)
{
	static const char kind[] = "neither a regular file nor a block device";

	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(mkdir("folder", 0700), 0);
	for (int writable = 0; writable < 2; writable++) {
		refuses("fifo", writable, -QC_E_IO, kind);
		refuses("folder", writable, -QC_E_IO, kind);
		refuses("/dev/full", writable, -QC_E_IO, kind);
		refuses("/dev/zero", writable, -QC_E_IO, kind);
		refuses("missing", writable, -QC_E_NOT_FOUND,
			"cannot open: No such file or directory");
	}
	unlink("fifo");
	rmdir("folder");
}

static void identity_is_that_of_the_file_not_of_the_name(void **state)
{
	const struct qc_file_open how = {0};
	struct qc_file *first = open_new("file", true);
	struct qc_file *other = open_new("other", true);
	struct qc_file *linked;
	struct qc_file_identity a, b, c;
	struct qc_err err;

	(void)state;
	assert_int_equal(symlink("file", "link"), 0);
	assert_int_equal(qc_file_posix_open("link", &how, &linked, &err), 0);
	assert_true(qc_file_posix_identity(first, &a));
	assert_true(qc_file_posix_identity(linked, &b));
	assert_true(qc_file_posix_identity(other, &c));
	assert_true(a.device == b.device && a.inode == b.inode);
	assert_false(a.device == c.device && a.inode == c.inode);
	qc_file_close(first);
	qc_file_close(linked);
	qc_file_close(other);
	unlink("link");
	unlink("file");
	unlink("other");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_long_random_walk_matches_the_model, set_up),
		cmocka_unit_test_setup(interrupted_and_short_calls_still_transfer_everything,
				       set_up),
		cmocka_unit_test_setup(where_punching_is_not_possible_zeroes_are_written, set_up),
		cmocka_unit_test_setup(other_failures_of_punching_are_reported, set_up),
		cmocka_unit_test_setup(a_write_without_progress_is_an_error_not_an_endless_loop,
				       set_up),
		cmocka_unit_test_setup(the_commit_sector_is_written_by_one_call_or_not_at_all,
				       set_up),
		cmocka_unit_test_setup(a_limit_on_file_sizes_is_reported_and_the_length_is_true,
				       set_up),
		cmocka_unit_test_setup(a_file_that_shrinks_while_open_is_not_padded_in_silence,
				       set_up),
		cmocka_unit_test_setup(holes_are_told_from_data, set_up),
		cmocka_unit_test_setup(sync_calls_are_made_unless_unwanted, set_up),
		cmocka_unit_test_setup(only_regular_files_and_block_devices_are_opened, set_up),
		cmocka_unit_test_setup(identity_is_that_of_the_file_not_of_the_name, set_up),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
