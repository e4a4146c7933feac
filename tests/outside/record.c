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
	const char *path;
	int fd; /* of the file, from before the program ran */
	struct stat is;
	uint64_t bytes;	 /* as the log has it */
	char wrong[128]; /* "": nothing so far */
};

static void complain(struct recorder *r, const struct trace_call *call, const char *what)
{
	if (r->wrong[0] == '\0')
		snprintf(r->wrong, sizeof(r->wrong), "%s %s", call->what->name, what);
}

/* Whether the call is about the file; its names are looked at afterwards, whatever the call. */
static bool is_ours(const struct recorder *r, const struct trace_call *call)
{
	char link[64];
	struct stat st;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)call->thread, call->fd);
	return call->fd >= 0 && stat(link, &st) == 0 && st.st_dev == r->is.st_dev
	       && st.st_ino == r->is.st_ino;
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

	if (!is_ours(r, call))
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
static void add_write(struct recorder *r, const struct trace_call *call)
{
	uint64_t length = (uint64_t)call->result, at;
	uint8_t *bytes = malloc((size_t)length + 1);

	must(bytes);
	if (call->what->kind == TRACE_WRITE)
		at = file_fact(call, "pos:", 10) - length;
	else
		at = call->args[call->what->value_arg];
	if (pread(r->fd, bytes, (size_t)length, (off_t)at) != (ssize_t)length)
		complain(r, call, "wrote what cannot be read");
	else
		crash_log_add(r->log, CRASH_WRITE, at, length, bytes);
	r->bytes = qc_max(r->bytes, at + length);
	free(bytes);
}

static void add_allocate(struct recorder *r, const struct trace_call *call)
{
	const uint64_t mode = call->args[1], at = call->args[2], length = call->args[3];

	if (mode & ~(uint64_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		complain(r, call, "in a mode that is not known here");
	else if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) && at < r->bytes)
		crash_log_add(r->log, CRASH_PUNCH, at, qc_min(length, r->bytes - at), NULL);
}

/* Whatever the call was: the file may be longer or shorter, or another may have its name. */
static void look_at_file(struct recorder *r, const struct trace_call *call)
{
	struct stat now, named;

	must(fstat(r->fd, &now) == 0);
	if ((uint64_t)now.st_size != r->bytes) {
		r->bytes = (uint64_t)now.st_size;
		crash_log_add(r->log, CRASH_RESIZE, 0, r->bytes, NULL);
	}
	if (stat(r->path, &named) < 0 || named.st_dev != now.st_dev || named.st_ino != now.st_ino)
		complain(r, call, "gave the name to another file");
}

static enum trace_answer after(void *context, const struct trace_call *call)
{
	struct recorder *r = context;

	if (call->result >= 0 && is_ours(r, call)) {
		if (call->what->kind == TRACE_WRITE_AT || call->what->kind == TRACE_WRITE)
			add_write(r, call);
		else if (call->what->kind == TRACE_ALLOCATE)
			add_allocate(r, call);
		else if (call->what->kind == TRACE_SYNC)
			crash_log_add(r->log, CRASH_SYNC, 0, 0, NULL);
	}
	look_at_file(r, call);
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

static bool replays(const struct recording *r)
{
	struct state s;
	bool same;

	state_init(&s, r->before, r->bytes_before, crash_log_room(&r->log, r->bytes_before));
	crash_make_whole(&s, &r->log, r->log.count);
	same = s.size == r->bytes_after && memcmp(s.bytes, r->after, (size_t)s.size) == 0;
	state_clear(&s);
	return same;
}

const char *record_program(const char *folder, const char *const *argv, const char *path,
			   struct recording *ret)
{
	static char why[sizeof(((struct recorder *)0)->wrong)];
	struct recorder r = {.log = &ret->log, .path = path};
	struct trace_run run = {
		.folder = folder,
		.argv = argv,
		.before = before,
		.after = after,
		.context = &r,
	};

	*ret = (struct recording){0};
	r.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (r.fd < 0 || fstat(r.fd, &r.is) < 0 || !S_ISREG(r.is.st_mode))
		return "no such file";
	ret->before = load(r.fd, &ret->bytes_before);
	r.bytes = ret->bytes_before;
	must(trace_program(&run));
	ret->status = run.status;
	ret->after = load(r.fd, &ret->bytes_after);
	close(r.fd);
	if (run.status != 0)
		fputs(run.words, stderr);
	if (r.wrong[0] == '\0' && !replays(ret))
		snprintf(r.wrong, sizeof(r.wrong),
			 "the file was changed in a way that was not seen");
	memcpy(why, r.wrong, sizeof(why));
	return why[0] != '\0' ? why : NULL;
}

void recording_clear(struct recording *r)
{
	crash_log_clear(&r->log);
	free(r->before);
	free(r->after);
	*r = (struct recording){0};
}
