// SPDX-License-Identifier: MIT
#include "outside/record.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "crash/enumerate.h"
#include "crash/must.h"
#include "outside/trace.h"

struct recorder {
	struct crash_log *log;
	struct watched {
		const char *path;
		int fd; /* of the file, from before the program ran */
		struct stat is;
		uint64_t bytes; /* as the log has it */
	} files[CRASH_FILES];
	unsigned int count;
	char wrong[128]; /* "": nothing so far */
};

static void complain(struct recorder *r, const struct trace_call *call, const char *what)
{
	if (r->wrong[0] == '\0')
		snprintf(r->wrong, sizeof(r->wrong), "%s %s", call->what->name, what);
}

#define NOT_OURS CRASH_FILES

/* Which file the call is about; their names are looked at afterwards, whatever the call. */
static unsigned int find_file(const struct recorder *r, const struct trace_call *call)
{
	char link[64];
	struct stat st;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)call->thread, call->fd);
	if (call->fd < 0 || stat(link, &st) < 0)
		return NOT_OURS;
	for (unsigned int i = 0; i < r->count; i++)
		if (st.st_dev == r->files[i].is.st_dev && st.st_ino == r->files[i].is.st_ino)
			return i;
	return NOT_OURS;
}

/* "pos:" or "flags:" of an open file. */
static uint64_t file_fact(const struct trace_call *call, const char *key, int base)
{
	char path[64], line[128];
	uint64_t value = UINT64_MAX;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)call->thread, call->fd);
	info = fopen(path, "re");
	while (info && fgets(line, sizeof(line), info))
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoull(line + strlen(key), NULL, base);
	if (info)
		fclose(info);
	return value;
}

static enum trace_answer before(void *context, struct trace_call *call)
{
	struct recorder *r = context;

	if (find_file(r, call) == NOT_OURS)
		return TRACE_GO;
	if (call->what->kind == TRACE_HIDDEN)
		complain(r, call, "changes files unseen");
	if (call->what->kind == TRACE_MAP)
		complain(r, call, "makes changes possible that nobody sees");
	if (file_fact(call, "flags:", 8) & (O_APPEND | O_DSYNC))
		complain(r, call, "on a file that was opened to append or to sync each write");
	return TRACE_GO;
}

/* The bytes are read back from the file: nobody else has changed it meanwhile. */
static void add_write(struct recorder *r, unsigned int file, const struct trace_call *call)
{
	struct watched *w = &r->files[file];
	uint64_t length = (uint64_t)call->result, at;
	uint8_t *bytes = malloc((size_t)length + 1);

	must(bytes);
	if (call->what->kind == TRACE_WRITE)
		at = file_fact(call, "pos:", 10) - length;
	else
		at = call->args[call->what->value_arg];
	if (pread(w->fd, bytes, (size_t)length, (off_t)at) != (ssize_t)length)
		complain(r, call, "wrote what cannot be read");
	else
		crash_log_add_to(r->log, file, CRASH_WRITE, at, length, bytes);
	w->bytes = qc_max(w->bytes, at + length);
	free(bytes);
}

static void add_allocate(struct recorder *r, unsigned int file, const struct trace_call *call)
{
	const uint64_t mode = call->args[1], at = call->args[2], length = call->args[3];
	const uint64_t bytes = r->files[file].bytes;

	if (mode & ~(uint64_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		complain(r, call, "in a mode that is not known here");
	else if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) && at < bytes)
		crash_log_add_to(r->log, file, CRASH_PUNCH, at, qc_min(length, bytes - at), NULL);
}

static void add_sync(struct recorder *r, unsigned int file, const struct trace_call *call)
{
	enum qc_sync kind = strcmp(call->what->name, "fdatasync") == 0 ? QC_SYNC_DATA
								       : QC_SYNC_FULL;

	if (strcmp(call->what->name, "syncfs") == 0)
		complain(r, call, "is no barrier of one file");
	else
		crash_log_add_to(r->log, file, CRASH_SYNC, (uint64_t)kind, 0, NULL);
}

/* Whatever the call was: the file may be longer or shorter, or another may have its name. */
static void look_at_file(struct recorder *r, unsigned int file, const struct trace_call *call)
{
	struct watched *w = &r->files[file];
	struct stat now, named;

	must(fstat(w->fd, &now) == 0);
	if ((uint64_t)now.st_size != w->bytes) {
		w->bytes = (uint64_t)now.st_size;
		crash_log_add_to(r->log, file, CRASH_RESIZE, 0, w->bytes, NULL);
	}
	if (stat(w->path, &named) < 0 || named.st_dev != now.st_dev || named.st_ino != now.st_ino)
		complain(r, call, "gave the name to another file");
}

static enum trace_answer after(void *context, const struct trace_call *call)
{
	struct recorder *r = context;
	unsigned int file = call->result >= 0 ? find_file(r, call) : NOT_OURS;

	if (file != NOT_OURS) {
		if (call->what->kind == TRACE_WRITE_AT || call->what->kind == TRACE_WRITE)
			add_write(r, file, call);
		else if (call->what->kind == TRACE_ALLOCATE)
			add_allocate(r, file, call);
		else if (call->what->kind == TRACE_SYNC)
			add_sync(r, file, call);
	}
	for (unsigned int i = 0; i < r->count; i++)
		look_at_file(r, i, call);
	return TRACE_GO;
}

static uint8_t *load(int fd, uint64_t *ret_bytes)
{
	struct stat st;
	uint8_t *bytes;

	must(fstat(fd, &st) == 0);
	bytes = malloc((size_t)st.st_size + 1);
	must(bytes && pread(fd, bytes, (size_t)st.st_size, 0) == st.st_size);
	*ret_bytes = (uint64_t)st.st_size;
	return bytes;
}

/* From now on the file is part of the log. */
static bool watch(struct recorder *r, const char *path, struct recorded *ret)
{
	struct watched *w = &r->files[r->count];

	w->path = path;
	w->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (w->fd < 0)
		return false;
	r->count++;
	if (fstat(w->fd, &w->is) < 0 || !S_ISREG(w->is.st_mode))
		return false;
	ret->before = load(w->fd, &ret->bytes_before);
	w->bytes = ret->bytes_before;
	return true;
}

static bool is_after(const struct state *s, const struct recorded *file)
{
	return s->size == file->bytes_after && memcmp(s->bytes, file->after, (size_t)s->size) == 0;
}

static void start_state(struct state *s, const struct recorded *file, unsigned int number,
			const struct crash_log *log)
{
	state_init(s, file->before, file->bytes_before,
		   crash_log_room_of(log, number, file->bytes_before));
}

void recording_start(const struct recording *r, struct state *s, struct state *data)
{
	start_state(s, &r->image, 0, &r->log);
	if (!r->data.before)
		return;
	start_state(data, &r->data, 1, &r->log);
	state_put_beside(s, data);
}

static bool replays(const struct recording *r)
{
	struct state s, data;
	bool same;

	recording_start(r, &s, &data);
	crash_make_whole(&s, &r->log, r->log.count);
	same = is_after(&s, &r->image) && (!r->data.before || is_after(&data, &r->data));
	state_clear(&s);
	if (r->data.before)
		state_clear(&data);
	return same;
}

static void run(struct recorder *r, const char *folder, const char *const *argv,
		struct recording *ret)
{
	struct recorded *const files[CRASH_FILES] = {&ret->image, &ret->data};
	struct trace_run run = {
		.folder = folder,
		.argv = argv,
		.before = before,
		.after = after,
		.context = r,
	};

	must(trace_program(&run));
	ret->status = run.status;
	for (unsigned int i = 0; i < r->count; i++)
		files[i]->after = load(r->files[i].fd, &files[i]->bytes_after);
	if (run.status != 0)
		fputs(run.words, stderr);
	if (r->wrong[0] == '\0' && !replays(ret))
		snprintf(r->wrong, sizeof(r->wrong),
			 "the file was changed in a way that was not seen");
}

const char *record_program(const char *folder, const char *const *argv, const char *path,
			   const char *data_path, struct recording *ret)
{
	static char why[sizeof(((struct recorder *)0)->wrong)];
	struct recorder r = {.log = &ret->log, .wrong = "no such file"};

	*ret = (struct recording){0};
	if (watch(&r, path, &ret->image) && (!data_path || watch(&r, data_path, &ret->data))) {
		r.wrong[0] = '\0';
		run(&r, folder, argv, ret);
	}
	for (unsigned int i = 0; i < r.count; i++)
		close(r.files[i].fd);
	memcpy(why, r.wrong, sizeof(why));
	return why[0] != '\0' ? why : NULL;
}

void recording_clear(struct recording *r)
{
	crash_log_clear(&r->log);
	free(r->image.before);
	free(r->image.after);
	free(r->data.before);
	free(r->data.after);
	*r = (struct recording){0};
}
