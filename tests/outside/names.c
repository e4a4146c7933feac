// SPDX-License-Identifier: MIT
#include "outside/names.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "outside/trace.h"

#define NEW_MAX 4

struct new_file {
	dev_t device;
	ino_t inode;
	unsigned int changes;
	bool unsynced;
};

struct names {
	const struct lab *lab;
	struct new_file files[NEW_MAX]; /* those that the program has open, or had */
	unsigned int count;
	struct stat was[2];	/* what had the names of the image and of the data file */
	bool had[2], gave[2];	/* anything had; the program gave it to another */
	unsigned int undurable; /* names given since the folder was last synced */
	const char *wrong;
};

static void complain(struct names *n, const char *what)
{
	if (!n->wrong)
		n->wrong = what;
}

static struct new_file *find(struct names *n, const struct stat *st)
{
	struct new_file *f;

	for (unsigned int i = 0; i < n->count; i++)
		if (n->files[i].device == st->st_dev && n->files[i].inode == st->st_ino)
			return &n->files[i];
	if (n->count == NEW_MAX) {
		complain(n, "more files than are followed");
		return &n->files[0];
	}
	f = &n->files[n->count++];
	*f = (struct new_file){.device = st->st_dev, .inode = st->st_ino};
	return f;
}

static void changed(struct names *n, const struct stat *st)
{
	struct new_file *f = find(n, st);
	struct stat now;

	f->changes++;
	f->unsynced = true;
	if (stat(n->lab->image, &now) == 0 && now.st_dev == st->st_dev && now.st_ino == st->st_ino)
		complain(n, "the file is changed where everybody can see it");
}

static void done_to_file(struct names *n, const struct trace_call *call)
{
	char link[64];
	struct stat st;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)call->thread, call->fd);
	if (stat(link, &st) < 0)
		return;
	if (S_ISDIR(st.st_mode)) {
		if (call->what->kind == TRACE_SYNC)
			n->undurable = 0;
		return;
	}
	switch (call->what->kind) {
	case TRACE_SYNC:
		find(n, &st)->unsynced = false;
		break;
	case TRACE_MAP:
		complain(n, "a file changes in a way that is not followed");
		break;
	default:
		if (strcmp(call->what->name, "ioctl") != 0)
			changed(n, &st);
	}
}

/* Somebody has the name that did not have it before. */
static void look_at_name(struct names *n, unsigned int which, const char *path)
{
	struct stat now;
	bool has = path[0] != '\0' && stat(path, &now) == 0;

	if (!has
	    || (n->had[which] && now.st_dev == n->was[which].st_dev
		&& now.st_ino == n->was[which].st_ino))
		return;
	n->had[which] = true;
	n->was[which] = now;
	n->gave[which] = true;
	if (find(n, &now)->unsynced)
		complain(n, "a file gets its name before it is complete on stable storage");
	if (which == 0 && n->undurable > 0)
		complain(n, "the image gets its name before its data file's is durable");
	n->undurable++;
}

static enum trace_answer before(void *context, struct trace_call *call)
{
	(void)context, (void)call;
	return TRACE_GO;
}

static enum trace_answer after(void *context, const struct trace_call *call)
{
	struct names *n = context;

	if (call->result >= 0 && call->fd >= 0)
		done_to_file(n, call);
	look_at_name(n, 1, n->lab->data);
	look_at_name(n, 0, n->lab->image);
	return TRACE_GO;
}

static unsigned int follow(struct names *n)
{
	const char *const paths[] = {n->lab->image, n->lab->data};
	unsigned int changes = 0;
	struct trace_run run = {
		.folder = n->lab->run,
		.argv = n->lab->argv,
		.before = before,
		.after = after,
		.context = n,
	};

	for (int i = 0; i < 2; i++)
		n->had[i] = paths[i][0] != '\0' && stat(paths[i], &n->was[i]) == 0;
	if (!trace_program(&run) || run.status != 0)
		complain(n, "the program failed");
	if (!n->gave[0] || (n->lab->data[0] != '\0' && !n->gave[1]))
		complain(n, "nothing got the name");
	if (n->undurable > 0)
		complain(n, "success is told before the name is durable");
	for (unsigned int i = 0; i < n->count; i++)
		changes += n->files[i].changes;
	return changes;
}

/* NULL, or what is wrong. */
static const char *follow_scene(const struct scene *scene, const char *folder, bool rival,
				unsigned int *ret_changes)
{
	struct names n = {.wrong = NULL};
	struct lab lab;

	if (lab_open(&lab, scene, folder, rival)) {
		lab_reset(&lab);
		n.lab = &lab;
		*ret_changes = follow(&n);
	} else {
		complain(&n, "it cannot be prepared");
	}
	lab_close(&lab);
	return n.wrong;
}

bool names_run(const struct scene *scene, const char *folder)
{
	unsigned int changes = 0;
	const char *wrong = follow_scene(scene, folder, false, &changes);

	printf("%s recorded: %s: %u changes, all of them durable before the name is given%s%s\n",
	       wrong ? "not ok" : "ok", scene->name, changes, wrong ? ": " : "",
	       wrong ? wrong : "");
	fflush(stdout);
	return !wrong;
}

bool names_control(const char *folder)
{
	static const struct {
		const char *does, *expected;
	} tries[] = {
		{"sh -c 'cat old >new; mv new disk.qcow2'", "before it is complete"},
		{"sh -c 'cat old >new; sync new; mv new disk.qcow2'", "the name is durable"},
		{"sh -c 'cat old >new; sync new; mv new disk.qcow2; sync .; cat old >disk.qcow2'",
		 "everybody can see"},
		{"true", "nothing got the name"},
	};
	bool ok = true;

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		const struct scene scene = {
			.name = "control",
			.prepare = "make cluster_size=4k; cp disk.qcow2 old",
			.rival = tries[i].does,
		};
		unsigned int changes;
		const char *wrong = follow_scene(&scene, folder, true, &changes);

		if (wrong && strstr(wrong, tries[i].expected))
			continue;
		printf("# \"%s\": expected '%s', got '%s'\n", tries[i].does, tries[i].expected,
		       wrong ? wrong : "nothing");
		ok = false;
	}
	printf("%s recorded: a name that is given too early is noticed\n", ok ? "ok" : "not ok");
	return ok;
}
