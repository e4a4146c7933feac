// SPDX-License-Identifier: MIT
/*
 * How the locks work, as QEMU does it. There are four rights: 0 consistent read, 1 write, 2 write
 * unchanged, 3 resize (and 4 change children, until QEMU 6.1). Who uses right i holds a shared lock
 * on byte 100 + i; who shares it with nobody holds one on byte 200 + i. All locks are shared, so
 * taking them never conflicts; after that each side asks whether an exclusive lock would be
 * possible on the bytes that must not be held by others: 200 + i for each right it uses, 100 + i
 * for each right it does not share. Two that start at once may both refuse, never both go on.
 *
 * Our writer also refuses to share right 0, which every user of an image has: nobody may read while
 * an image is being edited. QEMU itself never goes that far, but respects it.
 *
 * The locks belong to the open file ("open file description locks"), not to the process: they
 * cannot be lost by closing another descriptor of the same file. It follows that opening one file
 * twice in this process conflicts just as two processes do.
 */
#include "io/lock_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define USED 100
#define UNSHARED 200

enum right {
	READ,
	WRITE,
	WRITE_UNCHANGED,
	RESIZE,
	CHANGE_CHILDREN
};

static const char *const right_names[] = {
	[READ] = "consistent read",
	[WRITE] = "write",
	[WRITE_UNCHANGED] = "write unchanged",
	[RESIZE] = "resize",
	[CHANGE_CHILDREN] = "change children",
};

/* Lists of bytes, ended by 0. */
static const uint8_t forced_takes[] = {USED + READ, 0};
static const uint8_t reader_takes[] = {USED + READ, UNSHARED + WRITE, UNSHARED + RESIZE, 0};
static const uint8_t reader_tests[] = {UNSHARED + READ, USED + WRITE, USED + RESIZE, 0};
static const uint8_t writer_takes[] = {
	USED + READ,
	USED + WRITE,
	USED + RESIZE,
	UNSHARED + READ,
	UNSHARED + WRITE,
	UNSHARED + RESIZE,
	0,
};
static const uint8_t writer_tests[] = {
	UNSHARED + WRITE,	UNSHARED + RESIZE, UNSHARED + READ,
	USED + WRITE,		USED + RESIZE,	   USED + WRITE_UNCHANGED,
	USED + CHANGE_CHILDREN, USED + READ,	   0,
};

static int fail_locked(struct qc_err *err, uint8_t byte)
{
	return qc_fail(err, QC_E_LOCKED,
		       "Failed to get %s\"%s\" lock; is another process using the image? "
		       "Shut down its virtual machine first",
		       byte < UNSHARED ? "shared " : "",
		       right_names[byte < UNSHARED ? byte - USED : byte - UNSHARED]);
}

static bool held_by_others(int errnum)
{
	return errnum == EAGAIN || errnum == EACCES;
}

/* Returns 0 or errno. */
static int lock_call(int fd, int command, short type, uint8_t byte, short *ret_type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	while (fcntl(fd, command, &lock) < 0)
		if (errno != EINTR)
			return errno;
	*ret_type = lock.l_type;
	return 0;
}

/* *ret_supported tells whether the file system has such locks; where it has not, QEMU has none either. */
static int take_bytes(int fd, const uint8_t *bytes, bool *ret_supported, struct qc_err *err)
{
	short type;
	int errnum;

	for (*ret_supported = true; *bytes != 0; bytes++) {
		errnum = lock_call(fd, F_OFD_SETLK, F_RDLCK, *bytes, &type);
		if (errnum != 0 && held_by_others(errnum)) /* exclusively, so not by QEMU */
			return fail_locked(err, *bytes);
		if (errnum != 0) {
			*ret_supported = false;
			return 0;
		}
	}
	return 0;
}

static int test_bytes(int fd, const uint8_t *bytes, struct qc_err *err)
{
	short type;
	int errnum;

	for (; *bytes != 0; bytes++) {
		errnum = lock_call(fd, F_OFD_GETLK, F_WRLCK, *bytes, &type);
		if (errnum != 0)
			return qc_fail_errno(err, errnum, "cannot find out who uses the image");
		if (type != F_UNLCK)
			return fail_locked(err, *bytes);
	}
	return 0;
}

/*
 * A whole-file lock of another kind, which crosvm and some scripts use; where there are no byte
 * locks it still keeps two of us apart. On block devices it is also what udev holds for a moment
 * while it looks at what the last writer left: that is waited for.
 */
static int flock_whole(int fd, bool *ret_supported, struct qc_err *err)
{
	const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
	struct stat st;
	int tries = fstat(fd, &st) == 0 && S_ISBLK(st.st_mode) ? 40 : 1;

	*ret_supported = true;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK) {
			*ret_supported = false;
			return 0;
		}
		if (--tries == 0)
			return fail_locked(err, USED + WRITE);
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int lock_reader(int fd, struct qc_err *err)
{
	bool supported;

	if (take_bytes(fd, reader_takes, &supported, err) < 0)
		return -(int)err->code;
	/* Without locks nobody could announce a writer, and a reader does no harm. */
	return supported ? test_bytes(fd, reader_tests, err) : 0;
}

static int lock_writer(int fd, struct qc_err *err)
{
	bool bytes_supported;
	bool whole_supported;

	if (take_bytes(fd, writer_takes, &bytes_supported, err) < 0)
		return -(int)err->code;
	if (bytes_supported && test_bytes(fd, writer_tests, err) < 0)
		return -(int)err->code;
	if (flock_whole(fd, &whole_supported, err) < 0)
		return -(int)err->code;
	if (!bytes_supported && !whole_supported)
		return qc_fail(err, QC_E_UNSUPPORTED,
			       "the file system has no locks, so nothing would keep another writer "
			       "away");
	return 0;
}

int qc_lock_posix(int fd, enum qc_lock mode, struct qc_err *err)
{
	struct qc_err ignored;
	bool supported;

	switch (mode) {
	case QC_LOCK_NONE:
		return 0;
	case QC_LOCK_FORCE: /* a courtesy to others; not getting it changes nothing */
		(void)take_bytes(fd, forced_takes, &supported, &ignored);
		return 0;
	case QC_LOCK_READ:
		return lock_reader(fd, err);
	case QC_LOCK_WRITE:
		return lock_writer(fd, err);
	}
	return qc_fail(err, QC_E_ARGUMENT, "no such lock mode: %d", (int)mode);
}
