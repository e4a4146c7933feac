// SPDX-License-Identifier: MIT
/*
 * Locks belong to open files, so that two of them in one process meet as two processes do. That
 * QEMU sees them in the same way is tested against QEMU itself, in tests/cli/locks.
 *
 * fcntl and flock are defined here, in front of the C library's, to play a file system without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/file_posix.h"

static int byte_lock_errno;
static int whole_lock_errno;
static char path[] = "/tmp/qcowtool-test-XXXXXX";

int fcntl(int fd, int command, ...)
{
	va_list args;
	void *argument;

	va_start(args, command);
	argument = va_arg(args, void *);
	va_end(args);
	if (byte_lock_errno != 0 && (command == F_OFD_SETLK || command == F_OFD_GETLK)) {
		errno = byte_lock_errno;
		return -1;
	}
	return (int)syscall(SYS_fcntl, fd, command, argument);
}

int flock(int fd, int operation)
{
	if (whole_lock_errno == 0)
		return (int)syscall(SYS_flock, fd, operation);
	errno = whole_lock_errno;
	return -1;
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static int set_up(void **state)
{
	(void)state;
	byte_lock_errno = 0;
	whole_lock_errno = 0;
	return 0;
}

/* NULL if the file is refused, which must be for the locks. */
static struct qc_file *open_locked(enum qc_lock lock, struct qc_err *err)
{
	const struct qc_file_open how = {.writable = lock == QC_LOCK_WRITE, .lock = lock};
	struct qc_file *file = NULL;

	if (qc_file_posix_open(path, &how, &file, err) < 0) {
		assert_int_equal(err->code, QC_E_LOCKED);
		assert_null(file);
	}
	return file;
}

static void assert_opens(enum qc_lock lock, bool expected)
{
	struct qc_err err = {0};
	struct qc_file *file = open_locked(lock, &err);

	if ((file != NULL) != expected)
		fail_msg("mode %d: expected %d: %s", (int)lock, expected, err.text);
	qc_file_close(file);
}

static void every_pair_of_users_agrees_with_the_table(void **state)
{
	/* Rows: who is there. Columns: who comes. In the order none, force, read, write. */
	static const bool table[4][4] = {
		{true, true, true, true},
		{true, true, true, false},
		{true, true, true, false},
		{true, true, false, false},
	};
	struct qc_file *held;
	struct qc_err err;

	(void)state;
	for (int there = QC_LOCK_NONE; there <= QC_LOCK_WRITE; there++) {
		held = open_locked((enum qc_lock)there, &err);
		assert_non_null(held);
		for (int comes = QC_LOCK_NONE; comes <= QC_LOCK_WRITE; comes++)
			assert_opens((enum qc_lock)comes, table[there][comes]);
		qc_file_close(held);
		assert_opens(QC_LOCK_WRITE, true);
	}
}

/* Opens the file as another program, and locks bytes of it, each one shared. */
static int hold_bytes(const int *bytes)
{
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	for (; *bytes != 0; bytes++) {
		struct flock lock = {.l_type = F_RDLCK, .l_start = *bytes, .l_len = 1};

		assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	}
	return fd;
}

static void what_qemu_holds_is_understood(void **state)
{
	static const struct {
		int bytes[8];
		bool read, write;
	} users[] = {
		{{100, 101, 103, 201, 203}, false, false}, /* a running machine */
		{{100, 201, 203}, true, false},		   /* reading, or as a backing file */
		{{100}, true, false},			   /* forced to share */
		{{101}, false, false},
		{{102}, true, false},
		{{103}, false, false},
		{{104}, true, false}, /* graph changes, by QEMU 6.1 and before */
		{{200}, false, false},
		{{201}, true, false},
		{{202}, true, true},
		{{0}, true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		int fd = hold_bytes(users[i].bytes);

		assert_opens(QC_LOCK_READ, users[i].read);
		assert_opens(QC_LOCK_WRITE, users[i].write);
		assert_opens(QC_LOCK_FORCE, true);
		close(fd);
	}
}

static void the_refusal_names_the_right_as_qemu_does(void **state)
{
	static const int machine[] = {100, 101, 103, 201, 203, 0};
	int fd = hold_bytes(machine);
	struct qc_err err;

	(void)state;
	assert_null(open_locked(QC_LOCK_WRITE, &err));
	assert_string_equal(err.text,
			    "Failed to get \"write\" lock; is another process using the image? "
			    "Shut down its virtual machine first");
	assert_null(open_locked(QC_LOCK_READ, &err));
	assert_string_equal(err.text, "Failed to get shared \"write\" lock; is another process "
				      "using the image? Shut down its virtual machine first");
	close(fd);
}

static void an_exclusive_lock_of_another_program_is_respected(void **state)
{
	struct flock whole = {.l_type = F_WRLCK};
	int fd = open(path, O_RDWR);

	(void)state;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
	assert_opens(QC_LOCK_READ, false);
	assert_opens(QC_LOCK_WRITE, false);
	assert_opens(QC_LOCK_FORCE, true);
	close(fd);
}

static void writers_respect_and_take_a_lock_on_the_whole_file(void **state)
{
	int fd = open(path, O_RDWR);
	struct qc_file *held;
	struct qc_err err;

	(void)state;
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_opens(QC_LOCK_WRITE, false);
	assert_opens(QC_LOCK_READ, true);
	assert_int_equal(flock(fd, LOCK_UN), 0);
	held = open_locked(QC_LOCK_WRITE, &err);
	assert_non_null(held);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	qc_file_close(held);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
}

static void without_byte_locks_two_writers_still_meet(void **state)
{
	static const int codes[] = {EINVAL, ENOLCK, EOPNOTSUPP, ENOSYS};
	struct qc_file *held;
	struct qc_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		byte_lock_errno = codes[i];
		held = open_locked(QC_LOCK_WRITE, &err);
		assert_non_null(held);
		assert_opens(QC_LOCK_WRITE, false);
		assert_opens(QC_LOCK_READ, true);
		qc_file_close(held);
	}
}

static void without_any_locks_readers_work_and_writers_refuse(void **state)
{
	const struct qc_file_open how = {.writable = true, .lock = QC_LOCK_WRITE};
	struct qc_file *file = NULL;
	struct qc_err err;

	(void)state;
	byte_lock_errno = ENOLCK;
	whole_lock_errno = ENOLCK;
	assert_opens(QC_LOCK_READ, true);
	assert_int_equal(qc_file_posix_open(path, &how, &file, &err), -QC_E_UNSUPPORTED);
	assert_null(file);
	byte_lock_errno = 0;
	assert_opens(QC_LOCK_WRITE, true);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_pair_of_users_agrees_with_the_table, set_up),
		cmocka_unit_test_setup(what_qemu_holds_is_understood, set_up),
		cmocka_unit_test_setup(the_refusal_names_the_right_as_qemu_does, set_up),
		cmocka_unit_test_setup(an_exclusive_lock_of_another_program_is_respected, set_up),
		cmocka_unit_test_setup(writers_respect_and_take_a_lock_on_the_whole_file, set_up),
		cmocka_unit_test_setup(without_byte_locks_two_writers_still_meet, set_up),
		cmocka_unit_test_setup(without_any_locks_readers_work_and_writers_refuse, set_up),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
