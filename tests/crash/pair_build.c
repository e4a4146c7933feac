// SPDX-License-Identifier: MIT
/* Images with a data file, and edits of them. */
#include <string.h>

#include "crash/calls.h"
#include "crash/must.h"
#include "crash/pair.h"
#include "crash/promises.h"
#include "support/image_builder.h"

#define STEPS(...) .steps = {__VA_ARGS__, {0}}

/* Name, cluster bits, clusters of the disk, and what is special. */
const struct pair_kind pair_kinds[] = {
	{"data-512", 9, 80, .raw = false},
	{"data-4k", 12, 12, .raw = false},
	{"data-64k", 16, 9, .raw = false},
	{"data-ext-16k", 14, 10, .extended_l2 = true},
	{"raw-512", 9, 80, .raw = true},
	{"raw-4k", 12, 12, .raw = true},
	{"raw-ext-16k", 14, 10, .extended_l2 = true, .raw = true},
	{"data-backed-4k", 12, 12, .backing = true},
	{"data-pending-512", 9, 80, .pending = true},
	{"data-pending-4k", 12, 12, .pending = true},
	{"raw-pending-4k", 12, 12, .raw = true, .pending = true},
};
const size_t pair_kind_count = sizeof(pair_kinds) / sizeof(pair_kinds[0]);

const struct edit_kind pair_edits[] = {
	/* Clusters 0 to 2 are shown, 3 to 7 are not. */
	{"in-place", NULL, STEPS({STEP_WRITE, 16 * 6 + 3, 16 + 7, false})},
	{"over", NULL, STEPS({STEP_WRITE, 5, 1, true}, {STEP_WRITE, 16 + 8, 11, false})},
	{"both", NULL, STEPS({STEP_WRITE, 16 * 2 + 8, 16 * 4 + 5, false})},
	{"zero", NULL, STEPS({STEP_ZERO, 8, 16 * 3, false})},
	{"discard", NULL, STEPS({STEP_DISCARD, 0, 16 * 2 + 4, false})},
	{"grow-write", NULL, .grows = true,
	 STEPS({STEP_GROW, 0, 16 * 9, false}, {STEP_WRITE, 16 + 6, 16 * 2, false})},
	{"script", NULL,
	 STEPS({STEP_WRITE, 3, 9, true}, {STEP_ZERO, 16, 24, false}, {STEP_WRITE, 16 + 4, 4, false},
	       {STEP_DISCARD, 16 * 2, 16, false}, {STEP_WRITE, 16 * 2 + 2, 5, false},
	       {STEP_WRITE, 16 * 7 + 2, 3, false})},
	{"twice", NULL,
	 STEPS({STEP_WRITE, 8, 16, false}, {.what = STEP_COMMIT}, {STEP_WRITE, 16 * 6, 8, false},
	       {STEP_DISCARD, 16, 16, false})},
	{"recover", NULL, VERB_RECOVER, .again = true},
	{"rebase", NULL, VERB_REBASE, .base = "new", .again = true},
	{"rebase-flat", NULL, VERB_REBASE, .again = true},
};
const size_t pair_edit_count = sizeof(pair_edits) / sizeof(pair_edits[0]);

bool pair_fits(const struct edit_kind *edit, const struct pair_kind *kind)
{
	if (edit->verb == VERB_RECOVER)
		return kind->pending;
	if (edit->verb == VERB_REBASE)
		return kind->backing;
	return !edit->grows || !kind->backing;
}

/* --- files --- */

void pair_clear(struct pair *pair)
{
	image_bytes_clear(&pair->image);
	image_bytes_clear(&pair->data);
}

void pair_put(const struct pair *pair)
{
	folder_put("image", pair->image.bytes, pair->image.size);
	folder_put("data", pair->data.bytes, pair->data.size);
}

void pair_get(struct pair *ret)
{
	folder_get("image", &ret->image);
	folder_get("data", &ret->data);
}

void pair_edit(const struct edit_kind *edit, uint32_t seed, struct pair *pair,
	       struct crash_log *log, struct sight *sight)
{
	struct crash_log own = {0}, *to = log ? log : &own;
	const struct promises promises = {.image = &pair->image,
					  .data = &pair->data,
					  .log = to,
					  .sight = sight,
					  .first = to->count};
	struct call_report report;
	const char *broken;
	struct qc_err err;
	int status;

	pair_put(pair);
	calls_watch(folder_path("image"), folder_path("data"), to, NULL);
	calls_tell(sight);
	status = edit_file(edit, seed, folder_path("image"), &err);
	calls_done(&report);
	broken = promises_kept(&promises);
	if (status < 0 || broken)
		fprintf(stderr, "%s: %s\n", edit->name, broken ? broken : err.text);
	must(status == 0 && !broken);
	pair_get(pair);
	crash_log_clear(&own);
}

/* --- building --- */

static struct builder_options options_of(const struct pair_kind *kind)
{
	struct builder_options options = builder_defaults();

	options.cluster_bits = kind->cluster_bits;
	options.extended_l2 = kind->extended_l2;
	options.incompatible = QC_INCOMPAT_DATA_FILE;
	options.autoclear = kind->raw ? QC_AUTOCLEAR_DATA_RAW : 0;
	/* The last cluster is one in part, if that can be. */
	options.disk_bytes = ((uint64_t)(kind->clusters - 1) << kind->cluster_bits) + 512;
	if (kind->backing) {
		options.backing_name = "old";
		options.backing_format = "raw";
	}
	return options;
}

/* A raw data file can be read without the image, so all that is not zero has its place there. */
static void fill_tables(struct builder *b, const struct pair_kind *kind)
{
	for (uint64_t i = 0; i < 3; i++)
		builder_data(b, i, NULL);
	builder_zero_alloc(b, 3);
	builder_zero(b, 4);
	if (kind->extended_l2)
		builder_subclusters(b, 5, NULL, 0x0000ff00u, 0x000000ffu);
	for (uint64_t i = 6; kind->raw && i < kind->clusters - 1; i++)
		builder_data(b, i, NULL);
	builder_data(b, kind->clusters - 1, NULL);
}

/* Where the image shows nothing, a raw data file has zeroes, and another one anything. */
static void fill_data(const struct pair_kind *kind, uint64_t disk_bytes, struct image_bytes *ret)
{
	size_t cluster = (size_t)1 << kind->cluster_bits;

	ret->size = disk_bytes;
	ret->bytes = malloc((size_t)disk_bytes);
	must(ret->bytes);
	image_pattern(ret->bytes, disk_bytes, 77);
	if (kind->raw)
		memset(ret->bytes + 3 * cluster, 0, 3 * cluster);
}

/* Stops an edit just after its sector 0 is durable. */
static void break_off(struct pair *pair)
{
	static const struct edit_kind edit = {
		.name = "broken off",
		.steps = {{STEP_WRITE, 9, 16, false}, {STEP_WRITE, 16 * 7, 5, false}},
	};
	struct pair done = {0};
	struct crash_log log = {0};
	struct state s, data;
	size_t end;

	image_bytes_copy(&done.image, pair->image.bytes, pair->image.size);
	image_bytes_copy(&done.data, pair->data.bytes, pair->data.size);
	pair_edit(&edit, 50, &done, &log, NULL);
	pair_clear(&done);
	end = crash_log_flip(&log, 0) + 1;
	must(end < log.count);
	pair_state_init(&s, &data, pair, &log);
	crash_make_whole(&s, &log, end);
	pair_clear(pair);
	pair_take(pair, &s);
	pair_state_clear(&s, &data);
	crash_log_clear(&log);
}

void pair_build(const struct pair_kind *kind, struct pair *ret)
{
	const struct builder_options options = options_of(kind);
	struct builder *b = builder_new(&options);
	const char *name = folder_path("data");
	uint8_t *bytes;
	size_t length;

	if (kind->backing)
		image_put_bases(kind->cluster_bits, options.disk_bytes);
	builder_extension(b, QC_EXTENSION_DATA_FILE, name, (uint32_t)strlen(name));
	fill_tables(b, kind);
	builder_finish(b, &bytes, &length);
	image_bytes_copy(&ret->image, bytes, length);
	builder_free(b);
	fill_data(kind, options.disk_bytes, &ret->data);
	if (kind->pending)
		break_off(ret);
}
