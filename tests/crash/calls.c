// SPDX-License-Identifier: MIT
#include "crash/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash/must.h"
#include "io/file.h"
#include "txn/undo.h"

#define FLIP_BYTES 512u

/* What is being watched. */
static struct {
	struct watched_file {
		dev_t device;
		ino_t inode;
	} files[CRASH_FILES];
	unsigned int file_count;
	struct crash_log *log;
	struct sight *sight;
	bool blind; /* what is read is put aside unseen */
	struct call_fault fault;
	struct call_report report;
	bool flip_pending; /* sector 0 was written, and no sync has come yet */
} watched;

static _Thread_local bool is_watching;
static atomic_bool somebody_watches; /* in whichever thread */

static void add_file(const char *path)
{
	struct stat st;

	must(stat(path, &st) == 0);
	watched.files[watched.file_count++] = (struct watched_file){st.st_dev, st.st_ino};
}

void calls_watch(const char *path, const char *data_path, struct crash_log *log,
		 const struct call_fault *fault)
{
	static const struct call_fault none = {.calls = CALL_FILE | CALL_MEMORY, .at = UINT64_MAX};

	must(!is_watching);
	memset(&watched, 0, sizeof(watched));
	add_file(path);
	if (data_path)
		add_file(data_path);
	watched.log = log;
	watched.fault = fault ? *fault : none;
	is_watching = true;
	somebody_watches = true;
}

void calls_tell(struct sight *sight)
{
	must(is_watching);
	watched.sight = sight;
}

void calls_done(struct call_report *ret)
{
	must(is_watching);
	is_watching = false;
	somebody_watches = false;
	*ret = watched.report;
}

#define NOT_WATCHED CRASH_FILES

/* Which of the files it is. Another thread that comes to them would do so unseen. */
static unsigned int find_file(int fd)
{
	struct stat st;

	if (!somebody_watches || fstat(fd, &st) < 0)
		return NOT_WATCHED;
	for (unsigned int i = 0; i < watched.file_count; i++)
		if (st.st_dev == watched.files[i].device && st.st_ino == watched.files[i].inode) {
			must(is_watching);
			return i;
		}
	return NOT_WATCHED;
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

static void tell(unsigned int file, enum crash_kind kind, off_t offset, uint64_t length)
{
	if (!watched.sight)
		return;
	if (kind == CRASH_RESIZE)
		sight_resize(watched.sight, file, length);
	else if (kind != CRASH_SYNC)
		sight_change(watched.sight, file, (uint64_t)offset, length);
}

static void write_down(unsigned int file, enum crash_kind kind, off_t offset, uint64_t length,
		       const uint8_t *bytes)
{
	tell(file, kind, offset, length);
	if (!watched.log)
		return;
	is_watching = false;
	crash_log_add_to(watched.log, file, kind, (uint64_t)offset, length, bytes);
	is_watching = true;
}

/* --- calls on files --- */

extern int __real_qc_undo_save(struct qc_undo *undo, struct qc_file *file,
			       uint64_t file_bytes_before, uint64_t offset, uint64_t bytes,
			       struct qc_err *err);
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

int __wrap_qc_undo_save(struct qc_undo *undo, struct qc_file *file, uint64_t file_bytes_before,
			uint64_t offset, uint64_t bytes, struct qc_err *err);
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

static ssize_t read_blindly(void *to, size_t length)
{
	memset(to, 0x5c, length);
	return (ssize_t)length;
}

ssize_t __wrap_pread64(int fd, void *to, size_t length, off_t offset)
{
	unsigned int file = find_file(fd);
	enum fate fate = file != NOT_WATCHED ? meet(CALL_READ) : GOES_WELL;

	if (fate == FAILS)
		return -1;
	if (file != NOT_WATCHED && watched.blind)
		return read_blindly(to, length);
	if (file != NOT_WATCHED && watched.sight)
		sight_read(watched.sight, file, (uint64_t)offset, length);
	return __real_pread64(fd, to, fate == GOES_HALF ? half_of(length) : length, offset);
}

/*
 * An edit that succeeds never looks at what it saved in case it fails. So that this need not be
 * believed, one whose sight counts gets something else to save.
 */
int __wrap_qc_undo_save(struct qc_undo *undo, struct qc_file *file, uint64_t file_bytes_before,
			uint64_t offset, uint64_t bytes, struct qc_err *err)
{
	int status;

	watched.blind = is_watching && watched.sight;
	status = __real_qc_undo_save(undo, file, file_bytes_before, offset, bytes, err);
	watched.blind = false;
	return status;
}

ssize_t __wrap_pwrite64(int fd, const void *from, size_t length, off_t offset)
{
	unsigned int file = find_file(fd);
	bool is_flip = file == 0 && offset == 0 && length == FLIP_BYTES;
	enum fate fate;

	if (file == NOT_WATCHED)
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
	write_down(file, CRASH_WRITE, offset, length, from);
	return __real_pwrite64(fd, from, length, offset);
}

int __wrap_ftruncate64(int fd, off_t length)
{
	unsigned int file = find_file(fd);

	if (file != NOT_WATCHED) {
		if (meet(CALL_RESIZE) == FAILS)
			return -1;
		write_down(file, CRASH_RESIZE, 0, (uint64_t)length, NULL);
	}
	return __real_ftruncate64(fd, length);
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
	unsigned int file = find_file(fd);

	if (file != NOT_WATCHED) {
		must(mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE));
		if (meet(CALL_PUNCH) == FAILS)
			return -1;
		write_down(file, CRASH_PUNCH, offset, (uint64_t)length, NULL);
	}
	return __real_fallocate64(fd, mode, offset, length);
}

static int meet_sync(unsigned int file, enum qc_sync kind)
{
	bool fails = meet(CALL_SYNC) == FAILS;

	if (!fails)
		write_down(file, CRASH_SYNC, (off_t)kind, 0, NULL);
	if (file != 0)
		return fails ? -1 : 0;
	if (watched.flip_pending && fails)
		watched.report.flip_in_doubt = true;
	else if (watched.flip_pending)
		watched.report.commits++;
	watched.flip_pending = false;
	return fails ? -1 : 0;
}

int __wrap_fsync(int fd)
{
	unsigned int file = find_file(fd);

	return file != NOT_WATCHED ? meet_sync(file, QC_SYNC_FULL) : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
	unsigned int file = find_file(fd);

	return file != NOT_WATCHED ? meet_sync(file, QC_SYNC_DATA) : __real_fdatasync(fd);
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
