// SPDX-License-Identifier: MIT
/*
 * Crashes of a rebase: whatever moment it was, the image reads the same through whichever base its
 * header names, and nothing leaks. A sample of the states is recovered, which changes nothing that
 * can be seen, and then rebased once more, which ends where the first one would have.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "check/check.h"
#include "crash/buffer_file.h"
#include "crash/enumerate.h"
#include "crash/must.h"
#include "image/read.h"
#include "io/file_mem.h"
#include "ops/rebase.h"
#include "support/image_builder.h"

#define CLUSTERS 12
#define SAMPLE 25

static char long_name[701];

struct kind {
	const char *name;
	uint32_t version, cluster_bits;
	bool extended_l2;
};

static const struct kind kinds[] = {
	{"v3-512", 3, 9, false}, {"v2-512", 2, 9, false},  {"v3-4k", 3, 12, false},
	{"v2-4k", 2, 12, false}, {"ext-16k", 3, 14, true},
};

struct change {
	const char *label;
	const char *name; /* of the new base; NULL: none */
	bool compress, needs_room;
};

static const struct change changes[] = {
	{"another", "new", false, false},
	{"compressed", "new", true, false},
	{"flattened", NULL, false, false},
	{"long-name", long_name, false, true},
};

struct lab {
	const struct kind *kind;
	const struct change *change;
	uint64_t disk_bytes;
	struct qc_layer old, new;
	uint8_t *guest; /* what must always be seen */
	uint8_t *seen;	/* room to look */
	uint64_t states, sampled, bad;
	uint64_t with_old, with_new;
};

/* --- the bases --- */

static void make_base(struct qc_layer *layer, const struct lab *lab, bool new)
{
	uint64_t cluster = UINT64_C(1) << lab->kind->cluster_bits;
	/* The old one ends before the disk does, the new one after it. */
	uint64_t bytes = new ? lab->disk_bytes + cluster : lab->disk_bytes - cluster / 2;
	uint8_t *content = calloc(1, (size_t)bytes);
	struct qc_err err;

	must(content);
	for (uint64_t at = 0; at < bytes; at++) {
		uint64_t n = at / cluster;
		bool differs = n % 3 == 0;
		bool zero = n % 4 == (new ? 1 : 3);

		content[at] = zero ? 0 : (uint8_t)(n + 1 + (new &&differs ? 100 + at % 7 : 0));
	}
	must(qc_file_mem_open(content, (size_t)bytes, &layer->file, &err) == 0);
	layer->disk_bytes = bytes;
	free(content);
}

static void build_overlay(const struct lab *lab, uint8_t **ret_bytes, size_t *ret_length,
			  struct builder **ret)
{
	struct builder_options o = builder_defaults();
	uint8_t *data = malloc((size_t)1 << lab->kind->cluster_bits);
	struct builder *b;

	must(data);
	o.version = lab->kind->version;
	o.cluster_bits = lab->kind->cluster_bits;
	o.refcount_order = 4;
	o.extended_l2 = lab->kind->extended_l2;
	o.disk_bytes = lab->disk_bytes;
	o.backing_name = "old";
	o.backing_format = "raw";
	b = builder_new(&o);
	memset(data, 0xee, (size_t)1 << o.cluster_bits);
	builder_data(b, 2, data);
	builder_skip_clusters(b, 3);
	builder_compressed(b, 4, data);
	if (o.extended_l2)
		builder_subclusters(b, 6, data, 0x00ff00f0, 0x0f00000f);
	else if (o.version == 3)
		builder_zero(b, 6);
	builder_finish(b, ret_bytes, ret_length);
	free(data);
	*ret = b;
}

/* --- looking --- */

static const struct qc_layer *base_of(struct lab *lab, const struct qc_image *image)
{
	if (!image->backing_name)
		return lab->change->name ? &lab->old /* shows what is wrong */ : NULL;
	return strcmp(image->backing_name, "old") == 0 ? &lab->old : &lab->new;
}

static void ignore(void *context, const struct qc_finding *finding)
{
	(void)context, (void)finding;
}

static bool is_sound(struct qc_file *file)
{
	const struct qc_finding_sink sink = {.take = ignore};
	const struct qc_check_options options = {0};
	struct qc_check_result result;
	struct qc_err err;

	return qc_check_run(file, &options, &sink, &result, &err) == 0 && result.completed
	       && result.corruptions == 0 && result.leaks == 0 && result.check_errors == 0;
}

/* What is wrong with the image; NULL: nothing. *ret_new: the header names the new base. */
static const char *look(struct lab *lab, struct qc_file *file, bool *ret_new)
{
	struct qc_layer layer = {.file = file, .disk_bytes = lab->disk_bytes};
	const char *wrong = NULL, *name;
	struct qc_err err;

	if (qc_image_open(file, NULL, &layer.image, &err) < 0)
		return "cannot be opened";
	name = layer.image->backing_name;
	*ret_new = !name || strcmp(name, "old") != 0;
	if (*ret_new && (name == NULL) != (lab->change->name == NULL))
		wrong = "neither base";
	else if (*ret_new && name && strcmp(name, lab->change->name) != 0)
		wrong = "the name of no base";
	layer.backing = (struct qc_layer *)base_of(lab, layer.image);
	if (!wrong
	    && qc_read_layer(&layer, qc_guest(0), lab->seen, (size_t)lab->disk_bytes, &err) < 0)
		wrong = "cannot be read";
	else if (!wrong && memcmp(lab->seen, lab->guest, (size_t)lab->disk_bytes) != 0)
		wrong = "shows something else";
	qc_image_close(layer.image);
	if (!wrong && !is_sound(file))
		wrong = "leaks or is corrupt";
	return wrong;
}

/* --- doing --- */

static void recover(struct qc_file *file)
{
	struct qc_recover_plan plan;
	struct qc_err err;

	must(qc_recover_look(file, &plan, &err) == 0);
	must(qc_recover_apply(file, &plan, &err) == 0);
}

static void rebase(struct lab *lab, struct qc_file *file)
{
	const struct qc_rebase how = {
		.name = lab->change->name,
		.format = lab->change->name ? "raw" : NULL,
		.compress = lab->change->compress,
	};
	const struct qc_txn_options options = {.compress = lab->change->compress};
	struct qc_edit edit = {.file = file};
	struct qc_rebase_report report;
	struct qc_txn_report done;
	struct qc_err err;
	int status;

	must(qc_image_open(file, NULL, &edit.image, &err) == 0);
	edit.backing = (struct qc_layer *)base_of(lab, edit.image);
	must(qc_txn_begin(edit.image, edit.backing, &options, &edit.txn, &err) == 0);
	status = qc_rebase_onto(&edit, lab->change->name ? &lab->new : NULL, &how, &report, &err);
	if (status == 0)
		status = qc_txn_commit(edit.txn, &done, &err);
	if (status < 0)
		fprintf(stderr, "%s\n", err.text);
	must(status == 0);
	qc_image_close(edit.image);
}

static void complain(struct lab *lab, const struct crash_spec *spec, const char *when,
		     const char *wrong)
{
	if (lab->bad++ < 3)
		printf("# %s/%s: crash in operations %zu..%zu, size %s: %s%s\n", lab->kind->name,
		       lab->change->label, spec->durable, spec->durable + spec->doubted,
		       crash_size_name(spec->size), when, wrong);
}

static void resume(struct lab *lab, const struct state *s, const struct crash_spec *spec,
		   bool was_new)
{
	struct buffer_file file;
	const char *wrong;
	bool new;

	buffer_file_init(&file);
	buffer_file_set(&file, s->bytes, s->size);
	recover(&file.base);
	wrong = look(lab, &file.base, &new);
	if (wrong || new != was_new)
		complain(lab, spec, "after recovery: ", wrong ? wrong : "another base");
	rebase(lab, &file.base);
	wrong = look(lab, &file.base, &new);
	if (wrong || !new)
		complain(lab, spec, "after a second rebase: ", wrong ? wrong : "the old base");
	buffer_file_clear(&file);
	lab->sampled++;
}

static bool judge(void *context, struct state *s, const struct crash_spec *spec)
{
	struct lab *lab = context;
	struct buffer_file file;
	const char *wrong;
	bool new = false;

	buffer_file_init(&file);
	buffer_file_show(&file, s->bytes, s->size);
	wrong = look(lab, &file.base, &new);
	if (wrong)
		complain(lab, spec, "", wrong);
	else if (lab->states % SAMPLE == 0)
		resume(lab, s, spec, new);
	lab->states++;
	new ? lab->with_new++ : lab->with_old++;
	return true;
}

static void enumerate(struct lab *lab, const uint8_t *bytes, size_t length)
{
	struct crash_log log = {0};
	struct buffer_file file;
	struct qc_file *watched;
	struct state state;
	struct crash_run run = {
		.state = &state,
		.log = &log,
		.random_states = 300,
		.seed = 1,
		.judge = judge,
		.context = lab,
	};

	buffer_file_init(&file);
	buffer_file_set(&file, bytes, length);
	watched = record_file_open(&file.base, &log);
	rebase(lab, watched);
	qc_file_close(watched);
	buffer_file_clear(&file);
	state_init(&state, bytes, length, crash_log_room(&log, length));
	crash_enumerate(&run);
	state_clear(&state);
	crash_log_clear(&log);
}

static bool run_one(const struct kind *kind, const struct change *change, uint64_t *states)
{
	struct lab lab = {.kind = kind, .change = change};
	struct qc_layer disk = {0};
	struct builder *b;
	uint8_t *bytes;
	size_t length;
	struct qc_err err;
	bool ok;

	lab.disk_bytes = ((uint64_t)CLUSTERS << kind->cluster_bits) - 100;
	make_base(&lab.old, &lab, false);
	make_base(&lab.new, &lab, true);
	lab.guest = malloc((size_t)lab.disk_bytes);
	lab.seen = malloc((size_t)lab.disk_bytes);
	must(lab.guest && lab.seen);
	build_overlay(&lab, &bytes, &length, &b);
	must(qc_file_mem_open(bytes, length, &disk.file, &err) == 0);
	must(qc_image_open(disk.file, NULL, &disk.image, &err) == 0);
	disk.disk_bytes = lab.disk_bytes;
	disk.backing = &lab.old;
	must(qc_read_layer(&disk, qc_guest(0), lab.guest, (size_t)lab.disk_bytes, &err) == 0);
	qc_image_close(disk.image);
	qc_file_close(disk.file);
	enumerate(&lab, bytes, length);
	ok = lab.bad == 0 && lab.with_old > 0 && lab.with_new > 0 && lab.sampled > 0;
	printf("%s %s/%s: %" PRIu64 " states, %" PRIu64 " old, %" PRIu64 " new, %" PRIu64
	       " resumed\n",
	       ok ? "ok" : "not ok", kind->name, change->label, lab.states, lab.with_old,
	       lab.with_new, lab.sampled);
	*states += lab.states;
	builder_free(b);
	free(lab.guest);
	free(lab.seen);
	qc_file_close(lab.old.file);
	qc_file_close(lab.new.file);
	return ok;
}

int main(void)
{
	uint64_t states = 0;
	bool ok = true;

	memset(long_name, 'n', sizeof(long_name) - 1);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (size_t j = 0; j < sizeof(changes) / sizeof(changes[0]); j++)
			if (!changes[j].needs_room || kinds[i].cluster_bits >= 12)
				ok = run_one(&kinds[i], &changes[j], &states) && ok;
	printf("%" PRIu64 " states\n", states);
	return ok ? 0 : 1;
}
