// SPDX-License-Identifier: MIT
/* How transactions end that cannot or must not go on, and what a partial discard leaves. */
#include "unit/txn/operations.h"
#include "unit/txn/places.h"
#include "unit/txn/watch.h"

/* --- a partial discard --- */

/* The first 8 KiB of a compressed cluster, stored before or in the same transaction. */
static void a_discard_of_a_part_of_a_compressed_cluster_keeps_the_rest(void **state)
{
	const uint64_t cluster = 1 << 16, part = 8 << 10;

	(void)state;
	for (int staged = 0; staged < 2; staged++) {
		struct builder_options o = builder_defaults();
		struct builder *b;
		struct rig r;

		o.extended_l2 = true;
		b = builder_new(&o);
		if (!staged)
			builder_compressed(b, 0, filled(0xc5));
		rig_begin_well(&r, b, true);
		if (staged)
			rig_write(&r, 0, filled(0xc5), cluster);
		rig_must(&r, qc_txn_discard(r.txn, qc_guest(0), part, &r.err));
		rig_commit(&r);
		assert_guest(r.mem, 0, filled(0), part);
		assert_guest(r.mem, part, filled(0xc5), cluster - part);
		assert_sound(r.mem);
		rig_close(&r);
		builder_free(b);
	}
}

/* --- disks that cannot change their size --- */

/* The snapshot remembers its disk's size behind the entry's 40 bytes and its VM state's. */
static void a_snapshot_brings_its_size_but_not_beside_a_bitmap(void **state)
{
	static const uint64_t sizes[] = {1 << 20, 3 << 20, 512 << 10};

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		bool bitmap = i < 3;
		struct builder_options o = builder_defaults();
		struct builder *b;
		struct qc_file *file;
		uint8_t *bytes;
		size_t length;

		o.cluster_bits = 9;
		b = builder_new(&o);
		builder_data(b, 0, filled(1));
		builder_snapshot(b, "1", "one");
		if (bitmap)
			builder_bitmap(b, "kept", 9, 0);
		builder_finish(b, &bytes, &length);
		assert_int_equal(builder_peek64(b, builder_snapshot_entry_at(b, 0) + 48), sizes[0]);
		builder_poke64(b, builder_snapshot_entry_at(b, 0) + 48, sizes[i % 3]);
		file = copy_of(bytes, length);
		if (bitmap) {
			assert_refuses(file, do_snapshot_apply, NULL, QC_E_UNSUPPORTED);
		} else {
			assert_allows(file, do_snapshot_apply);
			assert_int_equal(places_of(file).header.disk_bytes, sizes[i % 3]);
		}
		qc_file_close(file);
		builder_free(b);
	}
}

/* Snapshots of version 2 need not remember their disk's size; in version 3 they must. */
static void a_disk_does_not_grow_beside_a_snapshot_that_forgets_its_size(void **state)
{
	(void)state;
	for (uint32_t version = 2; version <= 3; version++) {
		struct builder_options o = builder_defaults();
		struct builder *b;
		struct qc_file *file;
		uint8_t *bytes;
		size_t length;

		o.version = version;
		b = builder_new(&o);
		builder_data(b, 0, filled(1));
		builder_snapshot(b, "1", "one");
		builder_finish(b, &bytes, &length);
		file = copy_of(bytes, length);
		if (version == 2)
			assert_refuses(file, do_grow, NULL, QC_E_UNSUPPORTED);
		else
			assert_allows(file, do_grow);
		qc_file_close(file);
		builder_free(b);
	}
}

/* --- leftovers in free clusters --- */

/* Every free cluster gets bytes that an undone transaction must leave there. */
static uint64_t spoil(struct builder *b, uint8_t *bytes, size_t length)
{
	uint64_t cluster = builder_geometry(b)->cluster_bytes, spoilt = 0;

	for (uint64_t i = 0; i < length / cluster; i++)
		if (builder_refcount(b, i) == 0) {
			fill_noise(bytes + i * cluster, (size_t)cluster, i + 1);
			spoilt++;
		}
	return spoilt;
}

static struct builder *with_free_clusters(void)
{
	struct builder *b = small_clusters(4, 64 << 10);

	builder_data(b, 0, filled(1));
	builder_skip_clusters(b, 5);
	builder_data(b, 1, filled(2));
	return b;
}

/* --- another program at work --- */

struct intruder {
	unsigned int at;     /* the sync that it acts before */
	uint64_t file_bytes; /* how long the file was */
};

static int change_header(struct watch *w, unsigned int number, struct qc_err *err)
{
	struct intruder *i = w->context;
	uint8_t byte = 0x5a;

	if (number != i->at)
		return 0;
	if (qc_file_write(w->inner, 0x1ff, &byte, 1, err) < 0)
		return -QC_E_IO;
	i->file_bytes = w->inner->bytes;
	return 0;
}

/* It may have given our clusters to its own guest: nothing more is written, restored or cut off. */
static void a_header_that_changes_under_us_stops_the_commit_at_once(void **state)
{
	(void)state;
	for (unsigned int at = 0; at < 2; at++) {
		struct builder *b = with_free_clusters();
		struct intruder intruder = {.at = at};
		struct qc_file *file;
		struct watch w;
		struct qc_err err;
		uint8_t *bytes;
		size_t length;

		builder_finish(b, &bytes, &length);
		spoil(b, bytes, length);
		file = copy_of(bytes, length);
		watch_open(&w, file);
		w.at_sync = change_header;
		w.context = &intruder;
		assert_int_equal(watch_write_guest(&w.base, 0, 0x31, &err), -QC_E_CHANGED);
		assert_int_equal(w.syncs, 2);
		assert_int_equal(w.log[w.length - 1], 'S'); /* nothing after the barrier */
		assert_null(strpbrk(w.log, "0PR"));
		assert_int_equal(qc_file_mem_bytes(file)[0x1ff], 0x5a);
		assert_guest(file, 0, filled(1), 512);
		qc_file_close(file);
		builder_free(b);
	}
}

/* --- undo --- */

static int fail_barrier(struct watch *w, unsigned int number, struct qc_err *err)
{
	if (number != 1)
		return 0;
	w->fail_change = *(const int *)w->context; /* of those that the undo makes */
	return qc_fail(err, QC_E_IO, "the barrier that had to fail");
}

/* The barrier fails, and then one step of the undo does: the others are done all the same. */
static void an_error_while_undoing_stops_nothing_and_is_reported(void **state)
{
	struct builder *b = with_free_clusters();
	uint8_t *bytes;
	size_t length;
	size_t steps = 0;
	int step = -1, failures = 0, cuts_failed = 0;

	(void)state;
	builder_finish(b, &bytes, &length);
	assert_true(spoil(b, bytes, length) >= 5);
	for (bool failed = true; failed; step++) {
		struct qc_file *file = copy_of(bytes, length);
		struct watch w;
		struct qc_err err;

		watch_open(&w, file);
		w.at_sync = fail_barrier;
		w.context = &step;
		assert_int_equal(watch_write_guest(&w.base, 0, 0x31, &err), -QC_E_IO);
		assert_non_null(strstr(err.text, "the barrier that had to fail"));
		failed = step < 0 || w.fail_change < 0;
		if (step < 0)
			steps = w.length;
		assert_int_equal(w.length, steps);
		if (step < 0 || !failed) {
			assert_true(same_file(file, bytes, length));
			assert_null(strstr(err.text, "could not be restored"));
		} else {
			assert_non_null(strstr(err.text, "could not be restored"));
			assert_non_null(strstr(err.text, "the change that had to fail"));
			if (file->bytes != length)
				cuts_failed++;
			failures++;
		}
		assert_sound(file);
		qc_file_close(file);
	}
	assert_true(failures >= 3);
	assert_int_equal(cuts_failed, 1); /* where cutting itself was what failed */
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_discard_of_a_part_of_a_compressed_cluster_keeps_the_rest),
		cmocka_unit_test(a_snapshot_brings_its_size_but_not_beside_a_bitmap),
		cmocka_unit_test(a_disk_does_not_grow_beside_a_snapshot_that_forgets_its_size),
		cmocka_unit_test(a_header_that_changes_under_us_stops_the_commit_at_once),
		cmocka_unit_test(an_error_while_undoing_stops_nothing_and_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
