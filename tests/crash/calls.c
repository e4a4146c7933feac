// SPDX-License-Identifier: MIT
#include "crash/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash/must.h"

#define FLIP_BYTES 512u

/* What is being watched. */
static struct {
	dev_t device;
	ino_t inode;
	struct crash_log *log;
	struct call_fault fault;
	struct call_report report;
	bool flip_pending; /* sector 0 was written, and no sync has come yet */
} watched;

static _Thread_local bool is_watching;

void calls_watch(const char *path, struct crash_log *log, const struct call_fault *fault)
{
	static const struct call_fault none = {.calls = CALL_FILE | CALL_MEMORY, .at = UINT64_MAX};
	struct stat st;

	must(!is_watching && stat(path, &st) == 0);
	memset(&watched, 0, sizeof(watched));
	watched.device = st.st_dev;
	watched.inode = st.st_ino;
	watched.log = log;
	watched.fault = fault ? *fault : none;
	is_watching = true;
}

void calls_done(struct call_report *ret)
{
	must(is_watching);
	is_watching = false;
	*ret = watched.report;
}

static bool is_watched(int fd)
{
	struct stat st;

	return is_watching && fstat(fd, &st) == 0 && st.st_dev == watched.device
	       && st.st_ino == watched.inode;
}

/* --- faults --- */

enum fate {
	GOES_WELL,
	GOES_HALF,
	FAILS
};

/* Counts a call, and decides. */
static enum fate meet(enum call call)
{
	const struct call_fault *fault = &watched.fault;
	struct call_report *report = &watched.report;
	uint64_t number;

	if ((call & CALL_CHANGES)
	    && (report->flip_failed || report->flip_cut || report->flip_in_doubt))
		report->afterthoughts++;
	if ((call & fault->calls) == 0)
		return GOES_WELL;
	number = report->counted++;
	if (number < fault->at || number - fault->at >= fault->times)
		return GOES_WELL;
	report->failed++;
	if (fault->os_errno == 0 || (fault->partly && number == fault->at))
		return GOES_HALF;
	errno = fault->os_errno;
	return FAILS;
}

/* At least one byte, so that whoever goes on gets to the end. */
static size_t half_of(size_t length)
{
	return length - length / 2;
}

static void write_down(enum crash_kind kind, off_t offset, uint64_t length, const uint8_t *bytes)
{
	if (!watched.log)
		return;
	is_watching = false;
	crash_log_add(watched.log, kind, (uint64_t)offset, length, bytes);
	is_watching = true;
}

/* --- calls on files --- */

extern ssize_t __real_pread64(int fd, void *to, size_t length, off_t offset);
extern ssize_t __real_pwrite64(int fd, const void *from, size_t length, off_t offset);
extern int __real_ftruncate64(int fd, off_t length);
extern int __real_fallocate64(int fd, int mode, off_t offset, off_t length);
extern int __real_fsync(int fd);
extern int __real_fdatasync(int fd);
extern void *__real_malloc(size_t bytes);
extern void *__real_calloc(size_t count, size_t bytes);
extern void *__real_realloc(void *old, size_t bytes);
extern void *__real_reallocarray(void *old, size_t count, size_t bytes);
extern char *__real_strdup(const char *text);
extern char *__real_strndup(const char *text, size_t length);

ssize_t __wrap_pread64(int fd, void *to, size_t length, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *from, size_t length, off_t offset);
int __wrap_ftruncate64(int fd, off_t length);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_reallocarray(void *old, size_t count, size_t bytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);

ssize_t __wrap_pread64(int fd, void *to, size_t length, off_t offset)
{
	enum fate fate = is_watched(fd) ? meet(CALL_READ) : GOES_WELL;

	if (fate == FAILS)
		return -1;
	return __real_pread64(fd, to, fate == GOES_HALF ? half_of(length) : length, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *from, size_t length, off_t offset)
{
	bool is_flip = offset == 0 && length == FLIP_BYTES;
	enum fate fate;

	if (!is_watched(fd))
		return __real_pwrite64(fd, from, length, offset);
	fate = meet(CALL_WRITE);
	if (fate == FAILS) {
		watched.report.flip_failed |= is_flip && errno != EINTR;
		return -1;
	}
	if (fate == GOES_HALF) {
		watched.report.flip_cut |= is_flip;
		length = half_of(length);
	}
	watched.flip_pending |= is_flip;
	write_down(CRASH_WRITE, offset, length, from);
	return __real_pwrite64(fd, from, length, offset);
}

int __wrap_ftruncate64(int fd, off_t length)
{
	if (is_watched(fd)) {
		if (meet(CALL_RESIZE) == FAILS)
			return -1;
		write_down(CRASH_RESIZE, 0, (uint64_t)length, NULL);
	}
	return __real_ftruncate64(fd, length);
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
	if (is_watched(fd)) {
		must(mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE));
		if (meet(CALL_PUNCH) == FAILS)
			return -1;
		write_down(CRASH_PUNCH, offset, (uint64_t)length, NULL);
	}
	return __real_fallocate64(fd, mode, offset, length);
}

static int meet_sync(void)
{
	bool fails = meet(CALL_SYNC) == FAILS;

	if (!fails)
		write_down(CRASH_SYNC, 0, 0, NULL);
	if (watched.flip_pending && fails)
		watched.report.flip_in_doubt = true;
	else if (watched.flip_pending)
		watched.report.commits++;
	watched.flip_pending = false;
	return fails ? -1 : 0;
}

int __wrap_fsync(int fd)
{
	return is_watched(fd) ? meet_sync() : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
	return is_watched(fd) ? meet_sync() : __real_fdatasync(fd);
}

/* --- memory --- */

static bool has_memory(void)
{
	return !is_watching || meet(CALL_MEMORY) != FAILS;
}

void *__wrap_malloc(size_t bytes)
{
	return has_memory() ? __real_malloc(bytes) : NULL;
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return has_memory() ? __real_calloc(count, bytes) : NULL;
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return has_memory() ? __real_realloc(old, bytes) : NULL;
}

void *__wrap_reallocarray(void *old, size_t count, size_t bytes)
{
	return has_memory() ? __real_reallocarray(old, count, bytes) : NULL;
}

char *__wrap_strdup(const char *text)
{
	return has_memory() ? __real_strdup(text) : NULL;
}

char *__wrap_strndup(const char *text, size_t length)
{
	return has_memory() ? __real_strndup(text, length) : NULL;
}
