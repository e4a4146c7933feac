// SPDX-License-Identifier: MIT
/*
 * Work only stores two numbers. A thread of its own wakes up now and then, or by SIGUSR1, which all
 * threads block and this one waits for, so that no call of the others is ever cut short by it.
 */
#include "cmd/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/emit.h"

#define TICK_NANOSECONDS 200000000L
#define APPEARS_AFTER 1.0 /* seconds */
#define LINE_EVERY 10.0
#define STACK_BYTES ((size_t)128 << 10)

static void wanted_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGUSR1);
}

void progress_block_signal(void)
{
	sigset_t set;

	wanted_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* --- what a line says --- */

static double elapsed(const struct progress *p)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - p->start.tv_sec)
	       + 1e-9 * (double)(now.tv_nsec - p->start.tv_nsec);
}

static void describe_rest(double done, double rest, double seconds, char *to, size_t room)
{
	double left = seconds * rest / done;
	uint64_t whole = left < 3600.0 * 1000 ? (uint64_t)(left + 0.5) : UINT64_C(3600) * 1000;

	if (whole >= 3600)
		snprintf(to, room, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " left", whole / 3600,
			 whole / 60 % 60, whole % 60);
	else
		snprintf(to, room, "%" PRIu64 ":%02" PRIu64 " left", whole / 60, whole % 60);
}

/* "42.3 %, 1.2 GiB of 3 GiB, 812 MiB/s, 0:02 left" */
static void describe(const struct progress *p, uint64_t done, uint64_t total, char *to, size_t room)
{
	double seconds = elapsed(p);
	char rest[48] = "";
	double percent = total ? 100.0 * (double)done / (double)total : 100.0;

	if (done > 0 && done < total && seconds > 0)
		describe_rest((double)done, (double)(total - done), seconds, rest, sizeof(rest));
	snprintf(to, room, "%.1f %%, %s of %s, %s/s%s%s", percent, emit_size(done).text,
		 emit_size(total).text,
		 emit_size(seconds > 0 ? (uint64_t)((double)done / seconds) : 0).text,
		 rest[0] ? ", " : "", rest);
}

/* --- where it goes --- */

static void draw(struct progress *p, const char *text)
{
	struct winsize size;
	int room = 79;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
		room = size.ws_col - 1;
	fprintf(stderr, "\r\033[K%.*s", room, text);
	fflush(stderr);
	p->drawn = true;
}

static void erase(struct progress *p)
{
	if (p->drawn) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
	}
	p->drawn = false;
}

static uint64_t tenths(uint64_t done, uint64_t total)
{
	return total ? (uint64_t)(10.0 * (double)done / (double)total) : 10;
}

/* Plain lines are for logs: one each tenth of the work or ten seconds, whichever comes first. */
static bool is_time(struct progress *p, uint64_t done, uint64_t total)
{
	double now = elapsed(p);

	if (now < APPEARS_AFTER || done >= total)
		return false;
	if (tenths(done, total) <= p->shown_tenths && now - p->shown_at < LINE_EVERY)
		return false;
	p->shown_tenths = tenths(done, total);
	p->shown_at = now;
	return true;
}

static void show(struct progress *p, bool by_signal)
{
	uint64_t done = atomic_load(&p->done), total = atomic_load(&p->total);
	char text[160];

	if (done < p->last_done) { /* a part of the work that is counted anew */
		clock_gettime(CLOCK_MONOTONIC, &p->start);
		p->shown_at = 0;
		p->shown_tenths = 0;
	}
	p->last_done = done;
	describe(p, done, total, text, sizeof(text));
	if (by_signal || (p->asked && !p->terminal && is_time(p, done, total))) {
		erase(p);
		command_note(p->name, p->file, "%s", text);
	} else if (p->terminal && (p->asked || elapsed(p) >= APPEARS_AFTER)) {
		draw(p, text);
	}
}

/* Any other answer than a signal or a timeout would make this a busy loop: then there is no progress. */
static void *print(void *context)
{
	const struct timespec tick = {.tv_nsec = TICK_NANOSECONDS};
	struct progress *p = context;
	bool ticks = p->asked || p->terminal;
	sigset_t set;
	int number;

	wanted_signals(&set);
	while (!atomic_load(&p->quit)) {
		number = sigtimedwait(&set, NULL, ticks ? &tick : NULL);
		if (number < 0 && errno != EAGAIN && errno != EINTR)
			break;
		if (!atomic_load(&p->quit))
			show(p, number == SIGUSR1);
	}
	erase(p);
	return NULL;
}

static void begin(struct progress *p)
{
	pthread_attr_t attributes;
	sigset_t all, before;

	if (pthread_attr_init(&attributes) != 0)
		return;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	p->has_printer = pthread_create(&p->printer, &attributes, print, p) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
}

static void step(struct qc_progress *base, uint64_t done, uint64_t total)
{
	struct progress *p = (struct progress *)base;

	atomic_store_explicit(&p->total, total, memory_order_relaxed);
	atomic_store_explicit(&p->done, done, memory_order_relaxed);
	if (!p->quiet && !atomic_load_explicit(&p->begun, memory_order_relaxed)
	    && !atomic_exchange(&p->begun, true))
		begin(p);
}

void progress_init(struct progress *p, const struct command_line *line, const char *file)
{
	memset(p, 0, sizeof(*p));
	p->base.step = step;
	p->name = line->name;
	p->file = file;
	p->quiet = line->common.quiet;
	p->asked = line->common.progress;
	p->terminal = isatty(STDERR_FILENO) == 1;
	clock_gettime(CLOCK_MONOTONIC, &p->start);
}

void progress_end(struct progress *p)
{
	uint64_t done = atomic_load(&p->done), total = atomic_load(&p->total);
	char text[160];

	if (p->has_printer) {
		atomic_store(&p->quit, true);
		pthread_kill(p->printer, SIGUSR1);
		pthread_join(p->printer, NULL);
		p->has_printer = false;
	}
	if (!p->quiet && p->asked && !p->terminal && atomic_load(&p->begun) && done >= total) {
		describe(p, done, total, text, sizeof(text));
		command_note(p->name, p->file, "%s", text);
	}
}
