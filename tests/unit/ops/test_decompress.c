// SPDX-License-Identifier: MIT
/*
 * Decompressing images of every kind, under a guard, and broken at every single call that reaches
 * the file. Whatever happens, no disk in the image may change; and once it is run again in peace,
 * the file is what it would have been.
 */
#include "unit/txn/fixture.h"

#include <errno.h>
#include <stdio.h>

#include "image/map.h"
#include "ops/decompress.h"

struct picture {
	const char *name;
	uint32_t version, cluster_bits, refcount_order;
	bool extended_l2, zstd, stale, backing;
	int snapshots;
};

static const struct picture pictures[] = {
	{"512-byte clusters, snapshots, leftovers", 3, 9, 4, false, false, true, false, 2},
	{"512-byte clusters, 1-bit refcounts", 3, 9, 0, false, false, false, false, 0},
	{"512-byte clusters, 2-bit refcounts", 3, 9, 1, false, false, true, false, 1},
	{"version 2, 4 KiB clusters", 2, 12, 4, false, false, true, false, 2},
	{"version 2, a backing file", 2, 9, 4, false, false, false, true, 1},
	{"16 KiB clusters, zstd", 3, 14, 3, false, true, false, false, 3},
	{"64 KiB clusters, extended L2", 3, 16, 4, true, false, true, false, 1},
};

#define PICTURE_COUNT (sizeof(pictures) / sizeof(pictures[0]))
#define DISKS_MAX 4

struct scene {
	uint8_t *bytes;
	size_t length, disk_bytes, disks;
	uint8_t *contents[DISKS_MAX]; /* of the active disk and of each snapshot */
};

/* What fills a cluster when it is compressed: a few patterns, zeroes among them. */
static const uint8_t *pattern(uint64_t cluster)
{
	uint8_t *bytes = (uint8_t *)(uintptr_t)filled((uint8_t)(cluster % 5 ? cluster : 0));

	if (cluster % 5 && cluster % 3 == 0)
		fill_noise(bytes, 300, cluster);
	return bytes;
}

/* More than one L2 table, where clusters are small. */
static uint64_t clusters_of(const struct picture *p)
{
	return p->cluster_bits == 9 ? 150 : 45;
}

static void add_clusters(struct builder *b, const struct picture *p, int round)
{
	for (uint64_t i = (uint64_t)round; i < clusters_of(p); i += 3 + (uint64_t)round * 20) {
		if (i % 20 == 0)
			builder_data(b, i, filled((uint8_t)(i + 1)));
		else if (p->refcount_order < 2)
			builder_compressed_at(b, i, pattern(i + (uint64_t)round), 0);
		else if (i % 7 == 0)
			builder_compressed_at(b, i, pattern(i + (uint64_t)round),
					      (UINT64_C(1) << p->cluster_bits) - 5);
		else
			builder_compressed(b, i, pattern(i + (uint64_t)round));
	}
}

static struct builder *build(const struct picture *p)
{
	struct builder_options o = builder_defaults();
	struct builder *b;

	o.version = p->version;
	o.cluster_bits = p->cluster_bits;
	o.refcount_order = p->refcount_order;
	o.extended_l2 = p->extended_l2;
	o.compression = p->zstd ? QC_COMPRESSION_ZSTD : QC_COMPRESSION_ZLIB;
	o.disk_bytes = (clusters_of(p) << p->cluster_bits) - 100;
	o.backing_name = p->backing ? "base" : NULL;
	b = builder_new(&o);
	for (int i = 0; i <= p->snapshots; i++) {
		add_clusters(b, p, i);
		if (p->stale)
			builder_skip_clusters(b, 5);
		if (i < p->snapshots)
			builder_snapshot(b, i == 0 ? "1" : i == 1 ? "2" : "3", "s");
	}
	return b;
}

static uint8_t *read_disk(struct qc_file *file, size_t which, size_t bytes)
{
	struct qc_layer layer = {.file = file};
	uint8_t *disk = malloc(bytes);
	struct qc_view view;
	struct qc_err err;

	assert_non_null(disk);
	if (qc_image_open(file, NULL, &layer.image, &err) < 0)
		fail_msg("open: %s", err.text);
	layer.disk_bytes = layer.image->header.disk_bytes;
	if (which == 0)
		qc_view_active(&layer, &view);
	else if (qc_view_snapshot(&layer, &layer.image->snapshots.list[which - 1], &view, &err) < 0)
		fail_msg("snapshot: %s", err.text);
	if (qc_read(&view, qc_guest(0), disk, bytes, &err) < 0)
		fail_msg("read: %s", err.text);
	if (which != 0)
		qc_view_clear(&view);
	qc_image_close(layer.image);
	return disk;
}

static void assert_contents(const struct scene *s, struct qc_file *file)
{
	for (size_t i = 0; i < s->disks; i++) {
		uint8_t *now = read_disk(file, i, s->disk_bytes);

		assert_memory_equal(now, s->contents[i], s->disk_bytes);
		free(now);
	}
}

static void scene_make(struct scene *s, const struct picture *p)
{
	struct builder *b = build(p);
	struct qc_file *file;
	struct qc_err err;
	uint8_t *bytes;

	builder_finish(b, &bytes, &s->length);
	for (uint64_t i = 0; p->stale && i < s->length >> p->cluster_bits; i++)
		if (builder_refcount(b, i) == 0)
			fill_noise(bytes + (i << p->cluster_bits), (size_t)1 << p->cluster_bits,
				   i + 1);
	s->bytes = malloc(s->length);
	assert_non_null(s->bytes);
	memcpy(s->bytes, bytes, s->length);
	builder_free(b);
	s->disk_bytes = (size_t)(clusters_of(p) << p->cluster_bits) - 100;
	s->disks = (size_t)p->snapshots + 1;
	assert_int_equal(qc_file_mem_open(s->bytes, s->length, &file, &err), 0);
	assert_sound(file);
	for (size_t i = 0; i < s->disks; i++)
		s->contents[i] = read_disk(file, i, s->disk_bytes);
	qc_file_close(file);
}

static void scene_clear(struct scene *s)
{
	for (size_t i = 0; i < s->disks; i++)
		free(s->contents[i]);
	free(s->bytes);
}

/* The whole operation on the rig's file. */
static int run(struct rig *r, const struct qc_decompress *what, struct qc_decompress_report *ret)
{
	static const struct qc_edit_options how = {.no_backing = true};
	struct qc_edit edit = {.file = r->guard};
	int status = qc_image_open(r->guard, NULL, &edit.image, &r->err);

	if (status == 0)
		status = qc_txn_begin(edit.image, NULL, &how.txn, &edit.txn, &r->err);
	if (status == 0)
		status = qc_decompress(&edit, &how, what, ret, &r->err);
	qc_txn_abort(edit.txn);
	qc_image_close(edit.image);
	return status;
}

static const struct qc_decompress at_once = {.threads = 1};

static struct qc_decompress in_batches(const struct picture *p)
{
	return (struct qc_decompress){.threads = 1, .batch_bytes = UINT64_C(12) << p->cluster_bits};
}

static bool has_compressed(struct qc_file *file)
{
	struct qc_check_options options = {0};
	struct qc_check_result result;
	struct found found;
	struct qc_finding_sink sink = found_sink(&found);
	struct qc_err err;

	assert_int_equal(qc_check_run(file, &options, &sink, &result, &err), 0);
	return result.compressed_clusters > 0;
}

/* --- what comes out --- */

static void no_disk_changes_and_nothing_stays_compressed(void **state)
{
	(void)state;
	for (size_t i = 0; i < PICTURE_COUNT; i++) {
		struct qc_decompress_report report;
		struct scene s;
		struct rig r;

		scene_make(&s, &pictures[i]);
		rig_open(&r, s.bytes, s.length, NULL);
		assert_true(has_compressed(r.mem));
		if (run(&r, &at_once, &report) < 0)
			fail_msg("%s: %s", pictures[i].name, r.err.text);
		assert_int_equal(guard_flips(r.guard), 1);
		assert_int_equal(report.transactions, 1);
		assert_true(report.zero_clusters == 0 || !pictures[i].backing);
		assert_sound(r.mem);
		assert_contents(&s, r.mem);
		assert_false(has_compressed(r.mem));
		rig_close(&r);
		scene_clear(&s);
	}
}

static void batches_end_in_the_same_contents(void **state)
{
	(void)state;
	for (size_t i = 0; i < PICTURE_COUNT; i++) {
		struct qc_decompress what = in_batches(&pictures[i]);
		struct qc_decompress_report report;
		struct scene s;
		struct rig r;

		scene_make(&s, &pictures[i]);
		rig_open(&r, s.bytes, s.length, NULL);
		rig_must(&r, run(&r, &what, &report));
		assert_true(report.transactions > 1);
		assert_int_equal(guard_flips(r.guard), report.transactions);
		assert_sound(r.mem);
		assert_contents(&s, r.mem);
		assert_false(has_compressed(r.mem));
		rig_close(&r);
		scene_clear(&s);
	}
}

static void a_range_leaves_the_rest_compressed(void **state)
{
	(void)state;
	for (size_t i = 0; i < PICTURE_COUNT; i++) {
		uint64_t cluster = UINT64_C(1) << pictures[i].cluster_bits;
		struct qc_decompress what = {.at = 20 * cluster + 3,
					     .length = 20 * cluster,
					     .has_length = true,
					     .threads = 1};
		struct qc_decompress_report first, again;
		struct scene s;
		struct rig r;

		scene_make(&s, &pictures[i]);
		rig_open(&r, s.bytes, s.length, NULL);
		rig_must(&r, run(&r, &what, &first));
		assert_true(first.clusters > 0 && first.clusters < 40);
		assert_sound(r.mem);
		assert_contents(&s, r.mem);
		assert_true(has_compressed(r.mem));
		rig_must(&r, run(&r, &what, &again));
		assert_int_equal(again.clusters, 0);
		assert_int_equal(again.transactions, 0);
		rig_close(&r);
		scene_clear(&s);
	}
}

static void a_range_past_every_disk_is_refused(void **state)
{
	struct qc_decompress what = {.at = 1, .has_length = true, .threads = 1};
	struct qc_decompress_report report;
	struct scene s;
	struct rig r;

	(void)state;
	scene_make(&s, &pictures[0]);
	what.length = s.disk_bytes;
	rig_open(&r, s.bytes, s.length, NULL);
	assert_int_equal(run(&r, &what, &report), -QC_E_RANGE);
	what.at = UINT64_MAX;
	what.length = 2;
	assert_int_equal(run(&r, &what, &report), -QC_E_RANGE);
	assert_true(same_file(r.mem, s.bytes, s.length));
	rig_close(&r);
	scene_clear(&s);
}

/* --- what breaks --- */

/* What was left, run again in peace: the bytes that there would have been. */
static void finishes(const struct scene *s, struct qc_file *mem, const struct qc_decompress *what,
		     const struct qc_file *expected)
{
	struct qc_decompress_report report;
	struct rig r;

	settle_well(mem);
	rig_open(&r, qc_file_mem_bytes(mem), (size_t)mem->bytes, NULL);
	rig_must(&r, run(&r, what, &report));
	assert_true(same_file(r.mem, qc_file_mem_bytes(expected), (size_t)expected->bytes));
	assert_contents(s, r.mem);
	rig_close(&r);
}

static void judge(const struct scene *s, struct rig *r, int status, bool dead, uint64_t committed)
{
	assert_contents(s, r->mem);
	assert_sound(r->mem);
	if (status == 0)
		return;
	if (status == -QC_E_OUTCOME_UNKNOWN)
		return;
	assert_int_equal(status, -QC_E_IO);
	if (!dead && committed == 0)
		assert_true(same_file(r->mem, s->bytes, s->length));
}

/* Each step-th call of these kinds fails; if `dead`, all later ones too. */
static void break_calls(const struct picture *p, const struct qc_decompress *what,
			unsigned int calls, bool dead, uint64_t step)
{
	struct qc_decompress_report report;
	bool happened = true;
	struct scene s;
	struct rig good;

	scene_make(&s, p);
	rig_open(&good, s.bytes, s.length, NULL);
	rig_must(&good, run(&good, what, &report));
	for (uint64_t at = 0; happened; at += step) {
		struct fault_plan plan = {.calls = calls,
					  .at = at,
					  .sticky = dead,
					  .os_errno = EIO};
		struct rig r;
		int status;

		rig_open(&r, s.bytes, s.length, &plan);
		report = (struct qc_decompress_report){0};
		status = run(&r, what, &report);
		happened = fault_happened(r.fault);
		if (!happened)
			assert_int_equal(status, 0);
		judge(&s, &r, status, dead, report.transactions);
		finishes(&s, r.mem, what, good.mem);
		rig_close(&r);
		assert_true(at < 20000);
	}
	rig_close(&good);
	scene_clear(&s);
}

static void break_everywhere(const struct picture *p, const struct qc_decompress *what, bool dead,
			     uint64_t step)
{
	break_calls(p, what, dead ? FAULT_ALL : FAULT_ALL & ~FAULT_PUNCH, dead, step);
}

/* Large clusters take time, and break like small ones. */
static uint64_t every(uint64_t step, const struct picture *p)
{
	return p->cluster_bits == 9 ? step : step * 4 + 1;
}

static void a_call_that_fails_leaves_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < PICTURE_COUNT; i++)
		break_everywhere(&pictures[i], &at_once, false, every(1, &pictures[i]));
}

static void storage_that_dies_leaves_what_a_second_run_finishes(void **state)
{
	(void)state;
	for (size_t i = 0; i < PICTURE_COUNT; i++)
		break_everywhere(&pictures[i], &at_once, true, every(2, &pictures[i]));
}

static void batches_that_fail_leave_what_a_second_run_finishes(void **state)
{
	(void)state;
	for (size_t i = 0; i < PICTURE_COUNT; i++) {
		struct qc_decompress what = in_batches(&pictures[i]);

		break_everywhere(&pictures[i], &what, i % 2 == 0, every(4, &pictures[i]));
	}
}

/* Before the flip of each commit, and after it. */
static void batches_that_end_at_a_barrier_leave_what_a_second_run_finishes(void **state)
{
	(void)state;
	for (size_t i = 0; i < PICTURE_COUNT; i++) {
		struct qc_decompress what = in_batches(&pictures[i]);

		break_calls(&pictures[i], &what, FAULT_SYNC, false, 1);
	}
}

static void a_broken_stream_is_named_and_leaves_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < PICTURE_COUNT; i++) {
		struct builder *b = build(&pictures[i]);
		struct qc_decompress_report report;
		uint64_t guest = 30, word, bits = pictures[i].cluster_bits;
		char range[64];
		struct rig r;
		uint8_t *bytes;
		size_t length;

		builder_finish(b, &bytes, &length);
		do
			word = builder_peek64(b, builder_l2_entry_at(b, ++guest));
		while (!(word >> 62 & 1));
		memset(bytes + (word & ((UINT64_C(1) << (62 - (bits - 8))) - 1)), 0xff, 12);
		rig_open(&r, bytes, length, NULL);
		assert_int_equal(run(&r, &at_once, &report), -QC_E_FORMAT);
		snprintf(range, sizeof(range), "guest range 0x%llx-0x%llx",
			 (unsigned long long)(guest << bits),
			 (unsigned long long)((guest + 1) << bits));
		if (!strstr(r.err.text, "guest range") || !strstr(r.err.text, "compressed data"))
			fail_msg("%s: no %s", r.err.text, range);
		if (pictures[i].snapshots == 0 && !strstr(r.err.text, range))
			fail_msg("%s: no %s", r.err.text, range);
		assert_true(same_file(r.mem, bytes, length));
		rig_close(&r);
		builder_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_disk_changes_and_nothing_stays_compressed),
		cmocka_unit_test(batches_end_in_the_same_contents),
		cmocka_unit_test(a_range_leaves_the_rest_compressed),
		cmocka_unit_test(a_range_past_every_disk_is_refused),
		cmocka_unit_test(a_call_that_fails_leaves_every_byte),
		cmocka_unit_test(storage_that_dies_leaves_what_a_second_run_finishes),
		cmocka_unit_test(batches_that_fail_leave_what_a_second_run_finishes),
		cmocka_unit_test(batches_that_end_at_a_barrier_leave_what_a_second_run_finishes),
		cmocka_unit_test(a_broken_stream_is_named_and_leaves_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
