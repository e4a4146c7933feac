// SPDX-License-Identifier: MIT
#include "outside/figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "crash/buffer_file.h"
#include "crash/enumerate.h"
#include "crash/folder.h"
#include "crash/must.h"
#include "crash/referee.h"
#include "outside/figures_pair.h"
#include "outside/names.h"
#include "outside/record.h"
#include "outside/trace.h"

#define GUEST_AT UINT64_C(2048)
#define GUEST_BYTES UINT64_C(8192)

struct figures {
	uint64_t changes, syncs; /* of the program */
	uint64_t states, old, new;
	bool differ;			      /* old and new, to a reader */
	uint64_t torn, leaked, corrupt, lost; /* what should be 0 */
	uint64_t looked;		      /* at, by the slow judge too */
	uint64_t guests;		      /* went on with a state */
	uint64_t referee;		      /* looks by qemu-img at a state that is not sound */
	uint64_t disagreed;		      /* the judges; or a guest met something else */
};

struct run {
	const struct lab *lab;
	const struct recording *recording;
	struct seen old, new;
	bool sound;	     /* old and new both */
	size_t success_from; /* a crash after so many operations may follow the program's success */
	uint64_t look_every, guest_every, referee_every;
	struct content guest_old, guest_new; /* what a guest makes of them */
	struct figures sum;
};

static void see(const struct run *run, const uint8_t *bytes, uint64_t size, struct seen *ret)
{
	struct buffer_file file;

	buffer_file_init(&file);
	buffer_file_show(&file, bytes, size);
	seen_in(&file.base, run->lab->image, ret);
}

/* --- one state --- */

static void guest(const uint8_t *bytes, uint64_t size, struct content *ret)
{
	struct image_bytes image = {malloc((size_t)size), size};
	struct buffer_file file;

	must(image.bytes);
	memcpy(image.bytes, bytes, (size_t)size);
	*ret = (struct content){0};
	if (referee_writes(&image, GUEST_AT, GUEST_BYTES, NULL)) {
		buffer_file_init(&file);
		buffer_file_show(&file, image.bytes, image.size);
		content_of(&file.base, ret);
	}
	free(image.bytes);
}

/* A guest goes on with what it finds: nothing else may change, and what it writes is there. */
static void go_on(struct run *run, const struct state *s, bool is_new)
{
	const struct content *expected = is_new ? &run->guest_new : &run->guest_old;
	struct content now;

	guest(s->bytes, s->size, &now);
	run->sum.guests++;
	if (!content_is_sound(&now) || now.active != expected->active || now.rest != expected->rest)
		run->sum.disagreed++;
}

/* Whether `qemu-img check` sees leaks or corruptions of the state just as our check does. */
static bool referee_agrees_with(const struct run *run, const struct state *s,
				const struct content *content)
{
	const char *argv[] = {"qemu-img", "check", "-q", "-f", "qcow2", "state", NULL};
	char path[LAB_PATH_BYTES + 8];
	FILE *file;
	int said;

	snprintf(path, sizeof(path), "%s/state", run->lab->run);
	file = fopen(path, "wbe");
	must(file && fwrite(s->bytes, 1, (size_t)s->size, file) == s->size && fclose(file) == 0);
	said = run_program(run->lab->run, argv, NULL);
	unlink(path);
	if (!content->readable || content->corruptions > 0)
		return said == 2 || said == 1; /* found some, or could not even look */
	return said == (content->leaks > 0 ? 3 : 0);
}

/* Of what is neither, or not sound; *counter is how often that was found. */
static void count_bad(struct run *run, const struct state *s, const struct seen *now,
		      uint64_t *counter)
{
	++*counter;
	if (run->referee_every && *counter % run->referee_every == 0) {
		run->sum.referee++;
		run->sum.disagreed += !referee_agrees_with(run, s, &now->content);
	}
}

/* Not a version bit for bit: what is it to a reader? */
static void judge_slowly(struct run *run, const struct state *s, const struct crash_spec *spec)
{
	struct figures *f = &run->sum;
	struct seen now;

	see(run, s->bytes, s->size, &now);
	if (seen_same(&now, &run->new))
		f->new ++;
	else if (seen_same(&now, &run->old))
		f->differ && spec->durable >= run->success_from ? f->lost++ : f->old++;
	else if (!now.content.readable || now.content.corruptions > run->old.content.corruptions)
		count_bad(run, s, &now, &f->corrupt);
	else if (now.content.leaks > run->old.content.leaks)
		count_bad(run, s, &now, &f->leaked);
	else
		count_bad(run, s, &now, &f->torn);
}

static bool judge(void *context, struct state *s, const struct crash_spec *spec)
{
	struct run *run = context;
	size_t v = state_version(s, spec->durable);
	struct seen now;

	run->sum.states++;
	if (v == STATE_NONE) {
		judge_slowly(run, s, spec);
		return true;
	}
	v == 0 ? run->sum.old++ : run->sum.new ++;
	if (run->look_every && run->sum.states % run->look_every == 0) {
		see(run, s->bytes, s->size, &now);
		run->sum.looked++;
		run->sum.disagreed += !seen_same(&now, v == 0 ? &run->old : &run->new);
	}
	if (run->guest_every && run->sum.states % run->guest_every == 0)
		go_on(run, s, v == 1);
	return true;
}

/* --- all states --- */

static void enumerate(struct run *run, bool full)
{
	const struct recording *r = run->recording;
	const struct crash_log *log = &r->log;
	struct state s;
	struct crash_run crash = {
		.state = &s,
		.log = log,
		.random_states = full ? 2000 : 200,
		.seed = 1,
		.judge = judge,
		.context = run,
	};

	state_init(&s, r->image.before, r->image.bytes_before,
		   qc_max(crash_log_room(log, r->image.bytes_before), r->image.bytes_after));
	if (run->sound) {
		state_add_version(&s, r->image.before, r->image.bytes_before);
		state_add_version(&s, r->image.after, r->image.bytes_after);
		if (run->sum.differ)
			s.versions[0].gone_at = run->success_from;
	}
	crash_enumerate(&crash);
	state_clear(&s);
}

void figures_share_bases(const struct lab *lab)
{
	static const char *const names[] = {"one.raw", "two.raw"};
	static uint8_t bytes[2 << 20];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[LAB_PATH_BYTES + 16];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s", lab->base, names[i]);
		file = fopen(path, "re");
		if (!file)
			continue;
		folder_put(names[i], bytes, fread(bytes, 1, sizeof(bytes), file));
		fclose(file);
	}
}

static void prepare(struct run *run, bool full)
{
	const struct recording *r = run->recording;

	figures_share_bases(run->lab);
	see(run, r->image.before, r->image.bytes_before, &run->old);
	see(run, r->image.after, r->image.bytes_after, &run->new);
	run->sum.differ = !seen_same(&run->old, &run->new);
	run->sound = seen_sound(&run->old) && seen_sound(&run->new);
	for (size_t i = 0; i < r->log.count; i++)
		if (r->log.ops[i].kind == CRASH_SYNC) {
			run->sum.syncs++;
			run->success_from = i + 1;
		}
	run->sum.changes = r->log.count - run->sum.syncs;
	run->look_every = full ? 200 : 1000;
	if (run->sound) {
		run->guest_every = full ? 200 : 2000;
		guest(r->image.before, r->image.bytes_before, &run->guest_old);
		guest(r->image.after, r->image.bytes_after, &run->guest_new);
	}
}

/* NULL, or why there are no figures. */
static const char *measure(const struct scene *scene, const char *folder, bool rival, bool full,
			   struct figures *ret)
{
	struct recording recording;
	struct run run = {.recording = &recording};
	struct lab lab;
	const char *wrong;

	if (!lab_open(&lab, scene, folder, rival)) {
		lab_close(&lab);
		return "it cannot be prepared";
	}
	run.lab = &lab;
	lab_reset(&lab);
	wrong = record_program(lab.run, lab.argv, lab.image, NULL, &recording);
	if (!wrong && recording.status != 0)
		wrong = "the program failed";
	if (!wrong) {
		prepare(&run, full);
		if (rival) {
			run.guest_every = 0;
			run.referee_every = 10;
		}
		enumerate(&run, full);
		*ret = run.sum;
	}
	recording_clear(&recording);
	lab_close(&lab);
	return wrong;
}

bool figures_run(const struct scene *scene, const char *folder, bool full, uint64_t *all)
{
	struct figures f = {0};
	const char *wrong;
	bool ok;

	if (scene->replaces)
		return names_run(scene, folder);
	if (scene->data)
		return figures_pair_run(scene, folder, full, all);
	wrong = measure(scene, folder, false, full, &f);
	ok = !wrong && f.torn + f.leaked + f.corrupt + f.lost + f.disagreed == 0 && f.states > 0
	     && f.new > 0 && (f.old > 0 || !f.differ);
	printf("%s recorded: %s: %" PRIu64 " changes, %" PRIu64 " syncs, %" PRIu64
	       " states: %" PRIu64 " old, %" PRIu64 " new, %" PRIu64 " torn, %" PRIu64
	       " leaked, %" PRIu64 " corrupt, %" PRIu64 " lost; %" PRIu64 " guests went on%s%s\n",
	       ok ? "ok" : "not ok", scene->name, f.changes, f.syncs, f.states, f.old, f.new,
	       f.torn, f.leaked, f.corrupt, f.lost, f.guests, wrong ? ": " : "",
	       wrong	     ? wrong
	       : f.disagreed ? ": and some met something else"
			     : "");
	fflush(stdout);
	*all += f.states;
	return ok;
}

/* --- the comparison --- */

static bool print_row(const struct scene *scene, const char *folder, bool rival,
		      struct figures *sum)
{
	struct figures f = {0};
	const char *wrong = measure(scene, folder, rival, true, &f);

	if (wrong || f.disagreed > 0) {
		printf("# %s: %s\n", scene->name, wrong ? wrong : "the judges disagree");
		return false;
	}
	printf("| %s | %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64
	       " | %" PRIu64 " | %" PRIu64 " |\n",
	       rival ? "" : scene->name, rival ? "QEMU" : "qcowtool", f.changes, f.syncs, f.states,
	       f.torn, f.leaked, f.corrupt, f.lost);
	fflush(stdout);
	sum->guests += f.guests;
	sum->referee += f.referee;
	return true;
}

bool figures_compare(const char *only, const char *folder)
{
	struct figures sum = {0};
	bool ok = true;

	printf("\n<!-- outside -->\n\n"
	       "| operation | program | changes | syncs | states | torn | leaked | corrupt | lost |\n"
	       "|---|---|--:|--:|--:|--:|--:|--:|--:|\n");
	for (size_t i = 0; i < scene_count; i++) {
		if (!scenes[i].rival || (only && !strstr(scenes[i].name, only)))
			continue;
		ok = print_row(&scenes[i], folder, false, &sum) && ok;
		ok = print_row(&scenes[i], folder, true, &sum) && ok;
	}
	printf("\nA guest, `qemu-io`, went on with %" PRIu64
	       " of the states that qcowtool left of images that stand alone, and met\nnothing else "
	       "than after the old or the new image. Of the states that are counted against QEMU one "
	       "in ten\nwas shown to `qemu-img check`, %" PRIu64 " in all, and it said the same of "
	       "each.\n\n<!-- /outside -->\n",
	       sum.guests, sum.referee);
	return ok;
}

/* --- control --- */

bool figures_control(const char *folder)
{
	static const struct {
		const char *does, *expected;
	} tries[] = {
		{"cp --reflink=auto one two", "unseen"},
		{"mv one two", "another file"},
		{"echo more >>two", "append"},
		{"dd if=one of=two bs=3 oflag=dsync conv=notrunc status=none", "sync each write"},
	};
	static const struct scene scene = {
		.name = "control",
		.prepare = "make cluster_size=4k; head -c 100 disk.qcow2 >one; cp one two",
		.command = "info disk.qcow2",
	};
	struct recording recording;
	char path[LAB_PATH_BYTES + 8];
	struct lab lab;
	bool ok = lab_open(&lab, &scene, folder, false);

	snprintf(path, sizeof(path), "%s/two", lab.run);
	for (size_t i = 0; ok && i < sizeof(tries) / sizeof(tries[0]); i++) {
		const char *const argv[] = {"sh", "-c", tries[i].does, NULL};
		const char *wrong;

		lab_reset(&lab);
		wrong = record_program(lab.run, argv, path, NULL, &recording);
		recording_clear(&recording);
		ok = wrong && strstr(wrong, tries[i].expected);
		if (!ok)
			printf("# '%s': expected '%s', got '%s'\n", tries[i].does,
			       tries[i].expected, wrong ? wrong : "nothing");
	}
	printf("%s recorded: what cannot be followed is refused\n", ok ? "ok" : "not ok");
	lab_close(&lab);
	return ok;
}
