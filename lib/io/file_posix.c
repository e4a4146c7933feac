// SPDX-License-Identifier: MIT
/*
 * Files and block devices: opening, and the calls on them.
 *
 * 1. Every call is repeated when a signal interrupts it and continued when it did less than asked,
 *    except the write of 512 bytes at offset 0 of an image: the commit relies on that being one call.
 * 2. base.bytes follows what has really been written, after a failure in the middle too.
 * 3. The length is read after the locks are held: before, somebody else may still change it.
 */
#include "io/file_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "io/file_posix_impl.h"
#include "io/lock_posix.h"

#define COMMIT_SECTOR_BYTES 512u

/* What punching falls back to writing; as large as one call sensibly is. */
static const uint8_t zeroes[64 << 10];

static struct qc_file_posix *posix(struct qc_file *file)
{
	return (struct qc_file_posix *)file;
}

static int fail_transfer(struct qc_err *err, int errnum, const char *what, uint64_t length,
			 uint64_t offset)
{
	return qc_fail_errno(err, errnum, "%s of %" PRIu64 " bytes at offset 0x%" PRIx64, what,
			     length, offset);
}

static int posix_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
		      struct qc_err *err)
{
	uint8_t *to = buffer;
	size_t done = 0;
	ssize_t n;

	while (done < length) {
		n = pread(posix(file)->fd, to + done, length - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_transfer(err, errno, "read", length, offset);
		if (n == 0) /* all of it was inside the file when we looked last */
			return qc_fail(err, QC_E_CHANGED,
				       "read of %zu bytes at offset 0x%" PRIx64
				       ": the file became shorter while it was open",
				       length, offset);
		done += (size_t)n;
	}
	return 0;
}

static int posix_write(struct qc_file *file, uint64_t offset, const void *buffer, size_t length,
		       struct qc_err *err)
{
	const bool in_one = offset == 0 && length == COMMIT_SECTOR_BYTES && !posix(file)->no_header;
	const uint8_t *from = buffer;
	size_t done = 0;
	ssize_t n;

	while (done < length) {
		n = pwrite(posix(file)->fd, from + done, length - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_transfer(err, errno, "write", length, offset);
		if (n == 0) /* no error and no progress: trying for ever would not help */
			return fail_transfer(err, ENOSPC, "write", length, offset);
		done += (size_t)n;
		if (offset + done > file->bytes)
			file->bytes = offset + done;
		if (in_one && done < length)
			return qc_fail(err, QC_E_IO,
				       "write of 512 bytes at offset 0x0: only %zu were written",
				       done);
	}
	return 0;
}

static int posix_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	int n;

	do
		n = ftruncate(posix(file)->fd, (off_t)bytes);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return qc_fail_errno(err, errno, "resize to %" PRIu64 " bytes", bytes);
	file->bytes = bytes;
	return 0;
}

static int write_zeroes(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err)
{
	size_t step;

	for (; length > 0; offset += step, length -= step) {
		step = (size_t)qc_min(length, sizeof(zeroes));
		if (posix_write(file, offset, zeroes, step, err) < 0)
			return -(int)err->code;
	}
	return 0;
}

static int posix_punch(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err)
{
	int n;

	do
		n = fallocate(posix(file)->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)offset, (off_t)length);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	/* EINVAL: block devices only punch whole blocks of theirs. */
	if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)
		return write_zeroes(file, offset, length, err);
	return fail_transfer(err, errno, "punch", length, offset);
}

static int posix_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	int fd = posix(file)->fd;

	if (posix(file)->no_sync)
		return 0;
	/* Not repeated on EINTR: an error of a sync is reported once and then forgotten. */
	if ((kind == QC_SYNC_FULL ? fsync(fd) : fdatasync(fd)) < 0)
		return qc_fail_errno(err, errno, "sync");
	return 0;
}

static int posix_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
			uint64_t *ret_length, struct qc_err *err)
{
	int fd = posix(file)->fd;
	off_t data = lseek(fd, (off_t)offset, SEEK_DATA);
	off_t hole;

	(void)err; /* a file system that cannot tell, or fails to, gets the answer "data" */
	if ((data < 0 && errno == ENXIO) || data > (off_t)offset) {
		*ret_data = false;
		*ret_length = data < 0 ? length : qc_min(length, (uint64_t)data - offset);
		return 0;
	}
	hole = data < 0 ? -1 : lseek(fd, (off_t)offset, SEEK_HOLE);
	*ret_data = true;
	*ret_length = hole > (off_t)offset ? qc_min(length, (uint64_t)hole - offset) : length;
	return 0;
}

/* Some C libraries have a posix_close of their own. */
static void posix_close_file(struct qc_file *file)
{
	struct qc_file_posix *p = posix(file);

	if (p->scratch_name[0] != '\0')
		unlinkat(p->folder_fd, p->scratch_name, 0);
	if (p->folder_fd >= 0)
		close(p->folder_fd);
	close(p->fd);
	free(p);
}

static const struct qc_file_ops posix_ops = {
	.read = posix_read,
	.write = posix_write,
	.resize = posix_resize,
	.punch = posix_punch,
	.sync = posix_sync,
	.extent = posix_extent,
	.close = posix_close_file,
};

struct qc_file_posix *qc_file_posix_of(const struct qc_file *file)
{
	return file->ops == &posix_ops ? (struct qc_file_posix *)file : NULL;
}

static int load_length(struct qc_file_posix *p, struct qc_err *err)
{
	struct stat st;

	if (fstat(p->fd, &st) < 0)
		return qc_fail_errno(err, errno, "cannot find out the length");
	p->base.fixed_length = S_ISBLK(st.st_mode);
	p->base.bytes = (uint64_t)st.st_size;
	if (p->base.fixed_length && ioctl(p->fd, BLKGETSIZE64, &p->base.bytes) < 0)
		return qc_fail_errno(err, errno, "cannot find out the length of the device");
	return 0;
}

int qc_file_posix_wrap(int take_fd, bool writable, bool no_sync, struct qc_file_posix **ret,
		       struct qc_err *err)
{
	struct qc_file_posix *p = calloc(1, sizeof(*p));

	if (!p) {
		close(take_fd);
		return qc_fail_memory(err);
	}
	p->base = (struct qc_file){.ops = &posix_ops, .writable = writable};
	p->fd = take_fd;
	p->no_sync = no_sync;
	p->folder_fd = -1;
	if (load_length(p, err) < 0) {
		posix_close_file(&p->base);
		return -(int)err->code;
	}
	*ret = p;
	return 0;
}

static int check_kind(const struct stat *st, struct qc_err *err)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	return qc_fail(err, QC_E_IO, "neither a regular file nor a block device");
}

int qc_file_posix_open(const char *path, const struct qc_file_open *how, struct qc_file **ret,
		       struct qc_err *err)
{
	struct qc_file_posix *p;
	struct stat st;
	int fd;

	/* Looked at before it is opened, since opening alone does things to some devices ... */
	if (stat(path, &st) < 0)
		return qc_fail_errno(err, errno, "cannot open");
	if (check_kind(&st, err) < 0)
		return -(int)err->code;
	fd = open(path, (how->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return qc_fail_errno(err, errno,
				     how->writable ? "cannot open for writing" : "cannot open");
	/* ... and after, since the name may have changed its meaning in between. */
	if (fstat(fd, &st) < 0)
		qc_fail_errno(err, errno, "cannot open");
	else if (check_kind(&st, err) == 0 && qc_lock_posix(fd, how->lock, err) == 0) {
		if (qc_file_posix_wrap(fd, how->writable, how->no_sync, &p, err) < 0)
			return -(int)err->code;
		p->no_header = how->no_header;
		*ret = &p->base;
		return 0;
	}
	close(fd);
	return -(int)err->code;
}

void qc_file_posix_allow_many(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

bool qc_file_posix_identity(const struct qc_file *file, struct qc_file_identity *ret)
{
	struct qc_file_posix *p = qc_file_posix_of(file);
	struct stat st;

	if (!p || fstat(p->fd, &st) < 0)
		return false;
	/* A device has one identity, whichever of its nodes it was opened by. */
	*ret = S_ISBLK(st.st_mode) ? (struct qc_file_identity){.device = 0, .inode = st.st_rdev}
				   : (struct qc_file_identity){st.st_dev, st.st_ino};
	return true;
}

bool qc_file_posix_occupied(const struct qc_file *file, uint64_t *ret_bytes)
{
	struct qc_file_posix *p = qc_file_posix_of(file);
	struct stat st;

	if (!p || fstat(p->fd, &st) < 0)
		return false;
	*ret_bytes = (uint64_t)st.st_blocks * 512;
	return true;
}
