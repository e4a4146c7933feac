// SPDX-License-Identifier: MIT
/* The crash enumerator: every edit of every image, at every moment, on all processors. */
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "crash/campaign.h"
#include "crash/control.h"
#include "crash/faults.h"
#include "crash/must.h"
#include "crash/pair.h"
#include "crash/save.h"
#include "crash/table.h"

#define WORKERS_MAX 16
#define EDITS_MAX 64
#define NAME_BYTES SAVE_NAME_BYTES
#define MEMORY_KEPT (32 << 20) /* bytes; the most that may be asked for */

struct options {
	bool full;
	const char *only; /* a part of "image/edit" */
	const char *save_folder;
};

/* What the workers and their parent share. */
struct board {
	atomic_size_t next; /* of all scenarios, those with a data file coming first */
	struct worker {
		unsigned int passed, failed;
		struct row rows[EDITS_MAX];
		struct row pairs; /* images with a data file, all edits */
		char busy_with[NAME_BYTES];
	} workers[WORKERS_MAX];
};

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void name_pair(char name[NAME_BYTES], size_t image, size_t edit)
{
	snprintf(name, NAME_BYTES, "%s/%s", image_kinds[image].name, edit_kinds[edit].name);
}

static struct campaign campaign_for(const struct options *o, const char *name, struct tally *tally)
{
	return (struct campaign){
		.tally = tally,
		.save_folder = o->save_folder,
		.name = name,
		.sample = 100,
		.compare_sample = o->full ? 50 : 60,
		.random_states = o->full ? 2000 : 400,
		.quick = !o->full,
	};
}

static bool run_pair(const struct options *o, size_t image, size_t edit, struct worker *worker)
{
	struct row row = {.scenarios = 1};
	double start = now(CLOCK_PROCESS_CPUTIME_ID);
	struct campaign c;
	bool ok;

	name_pair(worker->busy_with, image, edit);
	c = campaign_for(o, worker->busy_with, &row.tally);
	campaign_open(&c, &image_kinds[image], &edit_kinds[edit]);
	campaign_crashes(&c);
	campaign_kills(&c);
	campaign_torn_headers(&c);
	campaign_false_journals(&c);
	campaign_faults(&c);
	row.seconds = now(CLOCK_PROCESS_CPUTIME_ID) - start;
	ok = tally_bad(&row.tally) == 0;
	printf("%s %s: %" PRIu64 " states, %zu operations, %" PRIu64 " faults, %.1f s\n",
	       ok ? "ok" : "not ok", c.name, row.tally.states, c.log.count, row.tally.faults,
	       row.seconds);
	campaign_close(&c);
	row_add(&worker->rows[edit], &row);
	worker->busy_with[0] = '\0';
	return ok;
}

static size_t pairs_count(void)
{
	return pair_kind_count * pair_edit_count;
}

/* The short run takes each kind and each edit. */
static bool choose_pair(const struct options *o, size_t number, struct pair_campaign *ret,
			char name[NAME_BYTES])
{
	const struct pair_kind *kind = &pair_kinds[number / pair_edit_count];
	const struct edit_kind *edit = &pair_edits[number % pair_edit_count];

	*ret = (struct pair_campaign){.kind = kind, .edit = edit, .name = name};
	/* Large clusters take ten times as long, which goes into copying them. */
	ret->quick = !o->full || kind->cluster_bits >= 16;
	snprintf(name, NAME_BYTES, "%s/%s", kind->name, edit->name);
	if (!pair_fits(edit, kind))
		return false;
	if (o->only)
		return strstr(name, o->only) != NULL;
	return o->full || (number / pair_edit_count + number % pair_edit_count) % 5 == 0;
}

static bool run_data_pair(struct pair_campaign *c, const struct options *o, struct worker *worker)
{
	struct row row = {.scenarios = 1};
	double start = now(CLOCK_PROCESS_CPUTIME_ID);
	bool ok;

	c->tally = &row.tally;
	c->save_folder = o->save_folder;
	pair_run(c);
	row.seconds = now(CLOCK_PROCESS_CPUTIME_ID) - start;
	ok = tally_bad(&row.tally) == 0;
	printf("%s %s: %" PRIu64 " states, %" PRIu64 " faults, %.1f s\n", ok ? "ok" : "not ok",
	       c->name, row.tally.states, row.tally.faults, row.seconds);
	row_add(&worker->pairs, &row);
	worker->busy_with[0] = '\0';
	return ok;
}

/*
 * The short run takes each image and each edit, but not every pair of them. Plain edits have most
 * images, and several commits of large clusters take longest.
 */
static bool is_in_short_run(size_t image, size_t edit)
{
	const struct edit_kind *e = &edit_kinds[edit];
	bool is_plain = e->verb == VERB_STEPS && e->steps[0].what < STEP_CREATE;

	if (e->steps[1].what == STEP_COMMIT && image_kinds[image].cluster_bits > 12)
		return false;
	return (image * 2 + edit) % (is_plain ? 9 : 3) == 0;
}

static bool is_chosen(const struct options *o, size_t image, size_t edit)
{
	char name[NAME_BYTES];

	if (!edit_fits(&edit_kinds[edit], &image_kinds[image]))
		return false;
	name_pair(name, image, edit);
	if (o->only)
		return strstr(name, o->only) != NULL;
	return o->full || is_in_short_run(image, edit);
}

static void work_on(const struct options *o, size_t number, struct worker *worker)
{
	size_t image = (number - pairs_count()) / edit_kind_count;
	size_t edit = (number - pairs_count()) % edit_kind_count;
	struct pair_campaign pair;
	bool ok;

	if (number < pairs_count()) {
		if (!choose_pair(o, number, &pair, worker->busy_with)) {
			worker->busy_with[0] = '\0';
			return;
		}
		ok = run_data_pair(&pair, o, worker);
	} else if (is_chosen(o, image, edit)) {
		ok = run_pair(o, image, edit, worker);
	} else {
		return;
	}
	if (ok)
		worker->passed++;
	else
		worker->failed++;
}

static _Noreturn void work(const struct options *o, struct board *board, struct worker *worker)
{
	const size_t count = pairs_count() + image_kind_count * edit_kind_count;
	size_t number;

	while ((number = atomic_fetch_add(&board->next, 1)) < count)
		work_on(o, number, worker);
	exit(0);
}

static void start_workers(const struct options *o, struct board *board, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		pid_t pid = fork();

		must(pid >= 0);
		if (pid == 0)
			work(o, board, &board->workers[i]);
	}
}

static size_t processors(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	return count < 1 ? 1 : count > WORKERS_MAX ? WORKERS_MAX : (size_t)count;
}

/* While one waits for a program of QEMU's another can work. */
static size_t workers_for(size_t processors)
{
	return (size_t)qc_min(processors + processors / 2, WORKERS_MAX);
}

static struct board *make_board(void)
{
	struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(board != MAP_FAILED && edit_kind_count <= EDITS_MAX);
	return board;
}

static int run_all(const struct options *o)
{
	struct row rows[EDITS_MAX] = {0}, pairs = {0};
	struct board *board = make_board();
	double start = now(CLOCK_MONOTONIC);
	unsigned int passed = 0, failed = 0;
	size_t count = workers_for(processors());
	int status;

	setlinebuf(stdout);
	if (!o->only)
		control_run(&passed, &failed);
	start_workers(o, board, count);
	while (wait(&status) > 0)
		;
	for (size_t i = 0; i < count; i++) {
		const struct worker *w = &board->workers[i];

		passed += w->passed;
		failed += w->failed;
		for (size_t j = 0; j < edit_kind_count; j++)
			row_add(&rows[j], &w->rows[j]);
		row_add(&pairs, &w->pairs);
		if (w->busy_with[0] != '\0') {
			printf("not ok %s: the test itself stopped\n", w->busy_with);
			failed++;
		}
	}
	table_print(rows, &pairs, now(CLOCK_MONOTONIC) - start);
	if (o->full && !o->only && failed == 0)
		table_print_for_docs(rows, &pairs, processors(), now(CLOCK_MONOTONIC) - start);
	printf("%u passed, %u failed\n", passed, failed);
	return failed || !passed ? 1 : 0;
}

/* Everything up to that event is done once more. False: there is no such pair. */
static bool replay_pair(const char *wanted, bool quick, uint64_t event, bool *ret_ok)
{
	const struct options o = {.only = wanted, .full = !quick};
	struct tally tally = {0};
	struct pair_campaign c;
	char name[NAME_BYTES];
	size_t i = 0;

	while (i < pairs_count() && (!choose_pair(&o, i, &c, name) || strcmp(name, wanted) != 0))
		i++;
	if (i == pairs_count())
		return false;
	c.tally = &tally;
	c.wanted = event;
	pair_run(&c);
	*ret_ok = tally_bad(&tally) == 0;
	return true;
}

/* The campaign of that name, with nothing opened. False: there is none any more. */
static bool find_campaign(const char *wanted, struct tally *tally, struct campaign *ret)
{
	const struct options o = {0};
	char name[NAME_BYTES];

	*ret = campaign_for(&o, wanted, tally);
	for (size_t image = 0; image < image_kind_count; image++)
		for (size_t edit = 0; edit < edit_kind_count; edit++) {
			name_pair(name, image, edit);
			if (strcmp(name, wanted) != 0)
				continue;
			ret->image = &image_kinds[image];
			ret->edit = &edit_kinds[edit];
			return true;
		}
	fprintf(stderr, "there is no %s any more\n", wanted);
	return false;
}

/* A crash brings all along but what the image stands on, which is built with the image. */
static bool replay_state(const char *path)
{
	struct image_bytes image;
	char name[NAME_BYTES];
	struct tally tally = {0};
	struct campaign c;

	save_name(path, name, sizeof(name));
	if (!find_campaign(name, &tally, &c))
		return false;
	image_kind_build(c.image, &image);
	image_bytes_clear(&image);
	return save_replay(path, &c);
}

/* A fault is named by its pair. */
static bool replay(const char *path)
{
	char wanted[NAME_BYTES];
	struct tally tally = {0};
	struct campaign c;
	uint64_t at;
	size_t kind;
	bool ok;

	if (!save_is_fault(path, wanted, sizeof(wanted), &kind, &at))
		return replay_state(path);
	if (replay_pair(wanted, kind != 0, at, &ok))
		return ok;
	if (!find_campaign(wanted, &tally, &c))
		return false;
	campaign_open(&c, c.image, c.edit);
	ok = faults_replay(&c, kind, at);
	campaign_close(&c);
	return ok;
}

/* Whole images come and go all the time: the memory stays. Not every C library can be told so. */
static void keep_memory(void)
{
#ifdef M_MMAP_THRESHOLD
	(void)mallopt(M_MMAP_THRESHOLD, MEMORY_KEPT);
	(void)mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT);
#endif
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"full", no_argument, NULL, 'f'},
		{"only", required_argument, NULL, 'o'},
		{"save", required_argument, NULL, 's'},
		{0},
	};
	struct options o = {0};
	int key;

	keep_memory();
	while ((key = getopt_long(argc, argv, "fo:s:", longs, NULL)) != -1) {
		if (key == 'f')
			o.full = true;
		else if (key == 'o')
			o.only = optarg;
		else if (key == 's')
			o.save_folder = optarg;
		else
			return 64;
	}
	if (optind + 2 == argc && strcmp(argv[optind], "replay") == 0)
		return replay(argv[optind + 1]) ? 0 : 1;
	if (optind != argc) {
		fprintf(stderr,
			"usage: crash [--full] [--only PART] [--save FOLDER] | replay FILE\n");
		return 64;
	}
	return run_all(&o);
}
