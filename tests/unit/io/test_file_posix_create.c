// SPDX-License-Identifier: MIT
/*
 * openat, renameat2 and fsync are defined here, in front of the C library's: they pass on to the
 * kernel, but can behave as on a file system that knows less, or fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/file_posix.h"

static bool without_tmpfile;
static bool without_noreplace;
static int sync_errno;
static unsigned int syncs;
static char folder[] = "/tmp/qcowtool-test-XXXXXX";

int openat(int at, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (without_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_openat, at, path, flags, mode);
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned int flags)
{
	if (without_noreplace && flags != 0) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
}

int fsync(int fd)
{
	syncs++;
	if (sync_errno == 0)
		return (int)syscall(SYS_fsync, fd);
	errno = sync_errno;
	return -1;
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static int set_up(void **state)
{
	(void)state;
	without_tmpfile = false;
	without_noreplace = false;
	sync_errno = 0;
	syncs = 0;
	return 0;
}

/* How many names the test's folder holds. */
static unsigned int names(void)
{
	DIR *dir = opendir(".");
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static void assert_holds(const char *path, const char *text)
{
	char got[64] = {0};
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got) - 1), (ssize_t)strlen(text));
	assert_string_equal(got, text);
	close(fd);
}

static struct qc_file *create(const char *path, const char *text)
{
	struct qc_file *file;
	struct qc_err err;

	assert_int_equal(qc_file_posix_create(path, false, &file, &err), 0);
	assert_true(file->writable);
	assert_int_equal(qc_file_write(file, 0, text, strlen(text), &err), 0);
	return file;
}

static void check_new_file(void)
{
	struct qc_file *file;
	struct stat st;
	struct qc_err err;
	mode_t mask = umask(027);

	file = create("new", "contents");
	assert_int_equal(access("new", F_OK), -1);
	assert_int_equal(qc_file_posix_publish(file, "new", false, &err), 0);
	umask(mask);
	assert_int_equal(syncs, 2);
	assert_holds("new", "contents");
	assert_int_equal(stat("new", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	qc_file_close(file);
	assert_holds("new", "contents");
	assert_int_equal(names(), 1);
	unlink("new");
}

static void check_replacing(void)
{
	struct qc_file *old = create("file", "old");
	struct qc_file *file = create("file", "new");
	struct qc_err err;

	assert_int_equal(qc_file_posix_publish(old, "file", false, &err), 0);
	qc_file_close(old);
	assert_int_equal(qc_file_posix_publish(file, "file", false, &err), -QC_E_EXISTS);
	assert_holds("file", "old");
	assert_int_equal(qc_file_posix_publish(file, "file", true, &err), 0);
	assert_holds("file", "new");
	qc_file_close(file);
	assert_holds("file", "new");
	assert_int_equal(names(), 1);
	unlink("file");
}

static void check_abandoning(void)
{
	struct qc_file *old = create("file", "old");
	struct qc_file *file;
	struct qc_err err;

	assert_int_equal(qc_file_posix_publish(old, "file", false, &err), 0);
	qc_file_close(old);
	file = create("file", "new");
	assert_holds("file", "old");
	sync_errno = EIO;
	assert_int_equal(qc_file_posix_publish(file, "file", true, &err), -QC_E_IO);
	assert_holds("file", "old");
	qc_file_close(file);
	assert_holds("file", "old");
	assert_int_equal(names(), 1);
	unlink("file");
	sync_errno = 0;
}

static void check_all(void)
{
	syncs = 0;
	check_new_file();
	check_replacing();
	check_abandoning();
}

static void a_new_file_appears_complete_or_not_at_all(void **state)
{
	(void)state;
	check_all();
}

static void file_systems_without_nameless_files_do_as_well(void **state)
{
	(void)state;
	without_tmpfile = true;
	check_all();
	without_noreplace = true;
	check_all();
}

static void nothing_but_a_regular_file_is_replaced(void **state)
{
	struct qc_file *file = create("x", "new");
	struct qc_err err;

	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(mkdir("sub", 0700), 0);
	assert_int_equal(symlink("nowhere", "link"), 0);
	assert_int_equal(qc_file_posix_publish(file, "fifo", true, &err), -QC_E_EXISTS);
	assert_int_equal(qc_file_posix_publish(file, "sub", true, &err), -QC_E_EXISTS);
	assert_int_equal(qc_file_posix_publish(file, "link", true, &err), -QC_E_EXISTS);
	assert_string_equal(err.text, "exists and is not a regular file");
	qc_file_close(file);
	assert_int_equal(names(), 3);
	unlink("fifo");
	rmdir("sub");
	unlink("link");
}

static void the_folder_is_the_one_that_the_file_was_made_in(void **state)
{
	struct qc_file *file;
	struct qc_err err;

	(void)state;
	assert_int_equal(mkdir("a", 0700), 0);
	file = create("a/file", "contents");
	assert_int_equal(rename("a", "b"), 0);
	assert_int_equal(qc_file_posix_publish(file, "a/file", false, &err), 0);
	qc_file_close(file);
	assert_holds("b/file", "contents");
	unlink("b/file");
	rmdir("b");
}

static void what_cannot_be_created_is_an_error(void **state)
{
	struct qc_file *file = NULL;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_file_posix_create("missing/file", false, &file, &err), -QC_E_NOT_FOUND);
	assert_int_equal(qc_file_posix_create("folder/", false, &file, &err), -QC_E_ARGUMENT);
	assert_int_equal(qc_file_posix_create("", false, &file, &err), -QC_E_ARGUMENT);
	assert_null(file);
	assert_int_equal(qc_file_posix_temporary(&file, &err), 0);
	assert_int_equal(qc_file_posix_publish(file, "name/", false, &err), -QC_E_ARGUMENT);
	qc_file_close(file);
}

static void a_temporary_file_is_never_seen(void **state)
{
	struct qc_file *file;
	char got[3];
	struct qc_err err;

	(void)state;
	assert_int_equal(setenv("TMPDIR", folder, 1), 0);
	for (int i = 0; i < 2; i++) {
		without_tmpfile = i == 1;
		assert_int_equal(qc_file_posix_temporary(&file, &err), 0);
		assert_int_equal(names(), 0);
		assert_int_equal(qc_file_write(file, 5, "abc", 3, &err), 0);
		assert_int_equal(qc_file_read(file, 5, got, 3, &err), 0);
		assert_memory_equal(got, "abc", 3);
		assert_int_equal(qc_file_posix_publish(file, "x", false, &err), -QC_E_ARGUMENT);
		qc_file_close(file);
		assert_int_equal(names(), 0);
	}
	/* A folder that is of no use is passed over. */
	assert_int_equal(setenv("TMPDIR", "/nonexistent", 1), 0);
	assert_int_equal(qc_file_posix_temporary(&file, &err), 0);
	qc_file_close(file);
	unsetenv("TMPDIR");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_new_file_appears_complete_or_not_at_all, set_up),
		cmocka_unit_test_setup(file_systems_without_nameless_files_do_as_well, set_up),
		cmocka_unit_test_setup(nothing_but_a_regular_file_is_replaced, set_up),
		cmocka_unit_test_setup(the_folder_is_the_one_that_the_file_was_made_in, set_up),
		cmocka_unit_test_setup(what_cannot_be_created_is_an_error, set_up),
		cmocka_unit_test_setup(a_temporary_file_is_never_seen, set_up),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
