// SPDX-License-Identifier: MIT
/*
 * New files that get their name only when they are complete, and files that never get one.
 *
 * 1. Until it is published, a new file is in nobody's way: it has no name at all or, where the file
 *    system does not know such files, a made-up one that goes when the file is closed.
 * 2. Publishing is one step: at every moment the name means the old file or all of the new one.
 * 3. The folder is opened once, when the file is made: what is done to the path in between does not
 *    change where the file goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/fs.h>

#include "base/cleanup.h"
#include "io/file_posix.h"
#include "io/file_posix_impl.h"

#define PUBLIC_MODE 0644 /* before the umask */
#define PRIVATE_MODE 0600
#define NAME_TRIES 100

#ifndef QC_HAVE_RENAMEAT2
static int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
	return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}
#endif

static const char *name_in_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int open_folder(const char *path)
{
	const size_t length = (size_t)(name_in_folder(path) - path);
	QC_AUTOFREE char *folder = length > 0 ? strndup(path, length) : strdup(".");

	return folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

static int make_scratch_name(char name[QC_FILE_POSIX_SCRATCH_NAME_BYTES])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -1;
	snprintf(name, QC_FILE_POSIX_SCRATCH_NAME_BYTES, ".qcowtool-%016" PRIx64, number);
	return 0;
}

static int open_with_scratch_name(int folder_fd, mode_t mode,
				  char name[QC_FILE_POSIX_SCRATCH_NAME_BYTES])
{
	int fd = -1;

	for (int i = 0; i < NAME_TRIES; i++) {
		if (make_scratch_name(name) < 0)
			break;
		fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	if (fd < 0)
		name[0] = '\0';
	return fd;
}

/* An empty file in the folder, without a name or with the one in `name` ("" if it has none). */
static int open_nameless(int folder_fd, mode_t mode, char name[QC_FILE_POSIX_SCRATCH_NAME_BYTES])
{
	int fd = openat(folder_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, mode);

	name[0] = '\0';
	/* What kernels and file systems without O_TMPFILE say, old ones included. */
	if (fd < 0
	    && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT))
		return open_with_scratch_name(folder_fd, mode, name);
	return fd;
}

/* take_folder_fd is consumed even on failure. */
static int create_in(int take_folder_fd, mode_t mode, bool no_sync, struct qc_file_posix **ret,
		     struct qc_err *err)
{
	char name[QC_FILE_POSIX_SCRATCH_NAME_BYTES];
	int fd = open_nameless(take_folder_fd, mode, name);

	if (fd < 0)
		qc_fail_errno(err, errno, "cannot create a file");
	else if (qc_file_posix_wrap(fd, true, no_sync, ret, err) == 0) {
		(*ret)->folder_fd = take_folder_fd;
		memcpy((*ret)->scratch_name, name, sizeof(name));
		return 0;
	} else if (name[0] != '\0') {
		unlinkat(take_folder_fd, name, 0);
	}
	close(take_folder_fd);
	return -(int)err->code;
}

int qc_file_posix_create(const char *path, bool no_sync, struct qc_file **ret, struct qc_err *err)
{
	struct qc_file_posix *p;
	int folder_fd;

	if (name_in_folder(path)[0] == '\0')
		return qc_fail(err, QC_E_ARGUMENT, "the name of a folder, not of a file");
	folder_fd = open_folder(path);
	if (folder_fd < 0)
		return qc_fail_errno(err, errno, "cannot open the folder");
	if (create_in(folder_fd, PUBLIC_MODE, no_sync, &p, err) < 0)
		return -(int)err->code;
	*ret = &p->base;
	return 0;
}

/* Makes sure that the file neither has a name nor will get one. */
static void forget_name(struct qc_file_posix *p)
{
	if (p->scratch_name[0] != '\0')
		unlinkat(p->folder_fd, p->scratch_name, 0);
	p->scratch_name[0] = '\0';
	close(p->folder_fd);
	p->folder_fd = -1;
}

int qc_file_posix_temporary(struct qc_file **ret, struct qc_err *err)
{
	/* /var/tmp before /tmp: what is spooled may be larger than memory, which /tmp often is. */
	const char *const folders[] = {secure_getenv("TMPDIR"), "/var/tmp", "/tmp"};
	struct qc_file_posix *p;
	int folder_fd;

	qc_fail_errno(err, ENOENT, "cannot create a temporary file");
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (!folders[i] || folders[i][0] == '\0')
			continue;
		folder_fd = open(folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (folder_fd < 0 || create_in(folder_fd, PRIVATE_MODE, true, &p, err) < 0)
			continue;
		forget_name(p);
		*ret = &p->base;
		return 0;
	}
	return -(int)err->code;
}

/* Links a file that has no name; EEXIST if the name is taken. */
static int link_nameless(const struct qc_file_posix *p, const char *name)
{
	char path[40];

	if (linkat(p->fd, "", p->folder_fd, name, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno == EEXIST)
		return -1;
	/* Before Linux 6.10 the above needs a privilege; this needs /proc instead. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->fd);
	return linkat(AT_FDCWD, path, p->folder_fd, name, AT_SYMLINK_FOLLOW);
}

static int link_with_scratch_name(struct qc_file_posix *p)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		if (make_scratch_name(p->scratch_name) < 0)
			break;
		if (link_nameless(p, p->scratch_name) == 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	p->scratch_name[0] = '\0';
	return -1;
}

/* Gives the file its name if that is free; else EEXIST. */
static int publish_new(struct qc_file_posix *p, const char *name)
{
	if (p->scratch_name[0] == '\0')
		return link_nameless(p, name);
	if (renameat2(p->folder_fd, p->scratch_name, p->folder_fd, name, RENAME_NOREPLACE) == 0) {
		p->scratch_name[0] = '\0';
		return 0;
	}
	/* Where renaming cannot be told not to replace; closing then removes the other name. */
	if (errno == EINVAL || errno == ENOSYS)
		return linkat(p->folder_fd, p->scratch_name, p->folder_fd, name, 0);
	return -1;
}

static int publish_over(struct qc_file_posix *p, const char *name)
{
	if (p->scratch_name[0] == '\0' && link_with_scratch_name(p) < 0)
		return -1;
	if (renameat(p->folder_fd, p->scratch_name, p->folder_fd, name) < 0)
		return -1;
	p->scratch_name[0] = '\0';
	return 0;
}

void qc_file_posix_unpublish(struct qc_file *file, const char *path)
{
	struct qc_file_posix *p = qc_file_posix_of(file);
	struct stat own, named;

	if (p && fstat(p->fd, &own) == 0
	    && fstatat(p->folder_fd, name_in_folder(path), &named, AT_SYMLINK_NOFOLLOW) == 0
	    && own.st_dev == named.st_dev && own.st_ino == named.st_ino)
		(void)unlinkat(p->folder_fd, name_in_folder(path), 0);
}

/* Renaming would put a file in the place of a device, a pipe or a link without a word. */
static int check_replaceable(const struct qc_file_posix *p, const char *name, struct qc_err *err)
{
	struct stat st;

	if (fstatat(p->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
				       : qc_fail_errno(err, errno, "cannot look at the old file");
	if (!S_ISREG(st.st_mode))
		return qc_fail(err, QC_E_EXISTS, "exists and is not a regular file");
	return 0;
}

int qc_file_posix_publish(struct qc_file *file, const char *path, bool replace, struct qc_err *err)
{
	struct qc_file_posix *p = qc_file_posix_of(file);
	const char *name = name_in_folder(path);

	if (!p || p->folder_fd < 0)
		return qc_fail(err, QC_E_ARGUMENT, "not a file that waits to be published");
	if (qc_file_sync(file, QC_SYNC_FULL, err) < 0)
		return -(int)err->code;
	if (publish_new(p, name) < 0) {
		if (errno != EEXIST || !replace)
			return qc_fail_errno(err, errno, "cannot give the new file its name");
		if (check_replaceable(p, name, err) < 0)
			return -(int)err->code;
		if (publish_over(p, name) < 0)
			return qc_fail_errno(err, errno, "cannot replace the old file");
	}
	if (!p->no_sync && fsync(p->folder_fd) < 0) {
		qc_fail_errno(err, errno, "sync of the folder");
		return qc_err_outcome_unknown(err); /* which file a crash leaves there */
	}
	return 0;
}
