// SPDX-License-Identifier: MIT
/*
 * Every snapshot verb, on images whose snapshots share tables, broken at every single call, under the
 * guard; and what must survive of snapshots that somebody else has made.
 */
#include "unit/txn/scenarios.h"

#include <errno.h>
#include <stdio.h>

#include "support/image_builder_impl.h"
#include "txn/snapshot.h"

enum verb {
	CREATE,
	APPLY,
	DELETE,
	RENAME,
	VERB_COUNT
};

static int run_verb(struct qc_txn *txn, enum verb verb, size_t index, struct qc_err *err)
{
	switch (verb) {
	case CREATE:
		return qc_txn_snapshot_create(txn, "new", (struct qc_snapshot_date){7, 8}, err);
	case APPLY:
		return qc_txn_snapshot_apply(txn, index, err);
	case DELETE:
		return qc_txn_snapshot_delete(txn, index, err);
	default:
		return qc_txn_snapshot_rename(txn, index, "new", err);
	}
}

/* One transaction with that verb. */
static int run(struct rig *r, enum verb verb, size_t index)
{
	int status = rig_begin(r, NULL, false);

	if (status == 0)
		status = run_verb(r->txn, verb, index, &r->err);
	return rig_end(r, status);
}

/* So many snapshots: of each pair one shares every table with the one before it. */
static struct builder *disk_with(size_t snapshots, uint32_t cluster_bits, uint32_t version)
{
	struct builder_options o = builder_defaults();
	struct builder *b;
	char id[24];

	o.version = version;
	o.cluster_bits = cluster_bits;
	o.disk_bytes = UINT64_C(150) << cluster_bits;
	b = builder_new(&o);
	for (uint64_t i = 0; i < 8; i++)
		builder_data(b, i, filled((uint8_t)(0x10 + i)));
	builder_compressed(b, 9, filled(0xc5));
	builder_compressed(b, 10, filled(0xc6));
	builder_data(b, 149, filled(0x99));
	for (size_t i = 0; i < snapshots; i++) {
		snprintf(id, sizeof(id), "%zu", i + 1);
		builder_snapshot(b, id, "name");
		if (i % 2 == 1)
			builder_data(b, i, filled((uint8_t)(0xb0 + i)));
	}
	builder_data(b, 2, filled(0xd2));
	return b;
}

/* --- contents --- */

static uint8_t *disk_of(struct qc_file *file, size_t snapshot_plus_1, size_t *ret_length)
{
	struct qc_layer layer = {.file = file};
	struct qc_view view;
	struct qc_err err;
	uint8_t *bytes;

	if (qc_image_open(file, NULL, &layer.image, &err) < 0)
		fail_msg("open: %s", err.text);
	layer.disk_bytes = layer.image->header.disk_bytes;
	if (snapshot_plus_1 == 0)
		qc_view_active(&layer, &view);
	else
		assert_int_equal(qc_view_snapshot(&layer,
						  &layer.image->snapshots.list[snapshot_plus_1 - 1],
						  &view, &err),
				 0);
	*ret_length = (size_t)view.disk_bytes;
	bytes = malloc(*ret_length);
	assert_non_null(bytes);
	if (qc_read(&view, qc_guest(0), bytes, *ret_length, &err) < 0)
		fail_msg("read: %s", err.text);
	if (snapshot_plus_1 > 0)
		qc_view_clear(&view);
	qc_image_close(layer.image);
	return bytes;
}

static void assert_same_disk(struct qc_file *one, size_t i, struct qc_file *other, size_t j)
{
	size_t length, other_length;
	uint8_t *bytes = disk_of(one, i, &length), *others = disk_of(other, j, &other_length);

	assert_int_equal(length, other_length);
	assert_memory_equal(bytes, others, length);
	free(bytes);
	free(others);
}

/* What the verb makes of an image with so many snapshots. */
static void assert_done(struct qc_file *old, struct qc_file *new, size_t snapshots, enum verb verb,
			size_t index)
{
	assert_same_disk(new, 0, old, verb == APPLY ? index + 1 : 0);
	for (size_t i = 0; i < snapshots; i++) {
		if (verb == DELETE && i == index)
			continue;
		assert_same_disk(new, i + 1 - (verb == DELETE && i > index), old, i + 1);
	}
	if (verb == CREATE)
		assert_same_disk(new, snapshots + 1, old, 0);
}

/* --- the whole matrix --- */

struct matrix_case {
	enum verb verb;
	size_t snapshots, index;
	uint32_t cluster_bits, version;
};

static void each_case(void (*test)(const struct matrix_case *, const uint8_t *, size_t))
{
	static const size_t counts[] = {1, 2, 5};
	static const struct {
		uint32_t cluster_bits, version;
	} shapes[] = {{9, 3}, {12, 2}};

	for (int s = 0; s < 2; s++)
		for (int n = 0; n < 3; n++)
			for (int verb = 0; verb < VERB_COUNT; verb++) {
				struct builder *b = disk_with(counts[n], shapes[s].cluster_bits,
							      shapes[s].version);
				struct matrix_case c = {(enum verb)verb, counts[n], counts[n] / 2,
							shapes[s].cluster_bits, shapes[s].version};
				uint8_t *bytes;
				size_t length;

				builder_finish(b, &bytes, &length);
				test(&c, bytes, length);
				builder_free(b);
			}
}

static void do_well(const struct matrix_case *c, const uint8_t *bytes, size_t length)
{
	struct qc_file *old;
	struct rig r;

	rig_open(&r, bytes, length, NULL);
	assert_int_equal(qc_file_mem_open(bytes, length, &old, &r.err), 0);
	assert_sound(old);
	if (run(&r, c->verb, c->index) < 0)
		fail_msg("%s", r.err.text);
	assert_int_equal(guard_flips(r.guard), 1);
	assert_sound(r.mem);
	assert_done(old, r.mem, c->snapshots, c->verb, c->index);
	qc_file_close(old);
	rig_close(&r);
}

static void every_verb_does_what_it_says_in_one_flip(void **state)
{
	(void)state;
	each_case(do_well);
}

static void abort_it(const struct matrix_case *c, const uint8_t *bytes, size_t length)
{
	struct rig r;

	rig_open(&r, bytes, length, NULL);
	rig_must(&r, rig_begin(&r, NULL, false));
	rig_must(&r, run_verb(r.txn, c->verb, c->index, &r.err));
	assert_int_equal(rig_end(&r, -QC_E_INTERRUPTED), -QC_E_INTERRUPTED);
	assert_true(same_file(r.mem, bytes, length));
	rig_close(&r);
}

static void an_abort_leaves_every_byte(void **state)
{
	(void)state;
	each_case(abort_it);
}

/* After a failure: the old image to the last byte, or one that recovery makes old or new. */
static void judge(const struct matrix_case *c, struct rig *r, int status, bool dead,
		  const uint8_t *bytes, size_t length)
{
	struct qc_image *image;
	struct qc_file *old;
	struct qc_err err;
	bool is_old;

	if (status < 0 && status != -QC_E_OUTCOME_UNKNOWN && !dead) {
		assert_true(same_file(r->mem, bytes, length));
		return;
	}
	settle_well(r->mem);
	assert_sound(r->mem);
	assert_int_equal(qc_file_mem_open(bytes, length, &old, &err), 0);
	assert_int_equal(qc_image_open(r->mem, NULL, &image, &err), 0);
	is_old = memcmp(image->sector0, bytes, sizeof(image->sector0)) == 0;
	qc_image_close(image);
	assert_false(is_old && status == 0);
	assert_false(!is_old && status < 0 && status != -QC_E_OUTCOME_UNKNOWN);
	if (!is_old)
		assert_done(old, r->mem, c->snapshots, c->verb, c->index);
	else
		for (size_t i = 0; i <= c->snapshots; i++)
			assert_same_disk(r->mem, i, old, i);
	qc_file_close(old);
}

static void break_everywhere(const struct matrix_case *c, const uint8_t *bytes, size_t length,
			     bool dead)
{
	bool happened = true;

	for (uint64_t at = 0; happened; at++) {
		struct fault_plan plan = {.calls = FAULT_ALL,
					  .at = at,
					  .os_errno = EIO,
					  .sticky = dead};
		struct rig r;
		int status;

		rig_open(&r, bytes, length, &plan);
		status = run(&r, c->verb, c->index);
		happened = fault_happened(r.fault);
		if (!happened)
			assert_int_equal(status, 0);
		judge(c, &r, status, dead, bytes, length);
		rig_close(&r);
		assert_true(at < 5000);
	}
}

static void break_once(const struct matrix_case *c, const uint8_t *bytes, size_t length)
{
	break_everywhere(c, bytes, length, false);
}

static void break_for_good(const struct matrix_case *c, const uint8_t *bytes, size_t length)
{
	if (c->cluster_bits == 9) /* for time's sake */
		break_everywhere(c, bytes, length, true);
}

static void a_call_that_fails_once_leaves_every_byte(void **state)
{
	(void)state;
	each_case(break_once);
}

static void storage_that_dies_leaves_the_old_or_the_new_image(void **state)
{
	(void)state;
	each_case(break_for_good);
}

/* --- snapshots that somebody else has made --- */

static char *copy_text(const char *text, size_t length)
{
	char *copy = malloc(length + 1);

	assert_non_null(copy);
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

/* Extra data that nobody knows, a VM state's size, strange bytes in id and name. */
static void make_strange(struct qc_snapshot *s)
{
	s->extra_bytes = 40;
	s->extra = malloc(s->extra_bytes);
	assert_non_null(s->extra);
	memset(s->extra, 0xe7, s->extra_bytes);
	s->vm_state_bytes = UINT64_C(5) << 32;
	s->vm_clock_nsec = 123456789;
	s->icount = 4711;
	s->date_nsec = 999999999;
	free(s->id);
	free(s->name);
	s->id = copy_text("x\0y", 3);
	s->id_bytes = 3;
	s->name = copy_text("\xff\0\n", 3);
	s->name_bytes = 3;
}

/* An entry as old programs wrote it: no extra data at all. */
static void make_old(struct qc_snapshot *s)
{
	s->has_disk_bytes = s->has_icount = false;
	s->disk_bytes = 0;
}

/* The bytes of entry `index` of the table, from the file as it is now. */
static uint8_t *entry_bytes(struct qc_file *file, size_t index, size_t *ret_length)
{
	struct qc_image *image;
	struct qc_snapshots one;
	struct qc_err err;
	uint8_t *bytes;
	uint64_t from;

	assert_int_equal(qc_image_open(file, NULL, &image, &err), 0);
	one = (struct qc_snapshots){.list = image->snapshots.list, .count = index};
	from = qc_snapshots_encoded_bytes(&one);
	one.count = index + 1;
	*ret_length = (size_t)(qc_snapshots_encoded_bytes(&one) - from);
	bytes = malloc(*ret_length);
	assert_non_null(bytes);
	assert_int_equal(qc_file_read(file, image->header.snapshot_table.byte + from, bytes,
				      *ret_length, &err),
			 0);
	qc_image_close(image);
	return bytes;
}

/* Entries `index` of one file and `other_index` of the other are the same to the last byte. */
static void assert_same_entry(struct qc_file *one, size_t index, struct qc_file *other,
			      size_t other_index)
{
	size_t length, other_length;
	uint8_t *bytes = entry_bytes(one, index, &length);
	uint8_t *others = entry_bytes(other, other_index, &other_length);

	assert_int_equal(length, other_length);
	assert_memory_equal(bytes, others, length);
	free(bytes);
	free(others);
}

static void keep_entries(uint32_t version, void (*make)(struct qc_snapshot *))
{
	for (int verb = 0; verb < VERB_COUNT; verb++) {
		struct builder *b = disk_with(3, 9, version);
		struct qc_file *old;
		uint8_t *bytes;
		size_t length;
		struct rig r;

		make(&b->snapshots.list[0]);
		make(&b->snapshots.list[2]);
		builder_finish(b, &bytes, &length);
		rig_open(&r, bytes, length, NULL);
		assert_int_equal(qc_file_mem_open(bytes, length, &old, &r.err), 0);
		assert_sound(old);
		if (run(&r, (enum verb)verb, 1) < 0)
			fail_msg("%s", r.err.text);
		assert_sound(r.mem);
		assert_same_entry(r.mem, 0, old, 0);
		assert_same_entry(r.mem, verb == DELETE ? 1 : 2, old, 2);
		qc_file_close(old);
		rig_close(&r);
		builder_free(b);
	}
}

static void unknown_extra_data_vm_state_and_strange_names_are_kept(void **state)
{
	(void)state;
	keep_entries(3, make_strange);
}

static void entries_without_extra_data_stay_so(void **state)
{
	(void)state;
	keep_entries(2, make_old);
}

/* --- refusals --- */

/* As many snapshots as refcounts of that width can count. */
static struct builder *small_disk(uint32_t refcount_order)
{
	struct builder_options o = builder_defaults();
	struct builder *b;

	o.cluster_bits = 12;
	o.refcount_order = refcount_order;
	b = builder_new(&o);
	builder_data(b, 3, filled(0x33));
	for (int i = 0; i < (1 << (1 << refcount_order)) - 2; i++)
		builder_snapshot(b, "1", "same");
	return b;
}

static void a_refcount_at_its_largest_refuses_create_and_leaves_every_byte(void **state)
{
	(void)state;
	for (uint32_t order = 0; order < 3; order++) {
		struct builder *b = small_disk(order);
		uint8_t *bytes;
		size_t length;
		struct rig r;

		builder_finish(b, &bytes, &length);
		rig_open(&r, bytes, length, NULL);
		assert_int_equal(run(&r, CREATE, 0), -QC_E_NO_SPACE);
		assert_true(same_file(r.mem, bytes, length));
		rig_close(&r);
		builder_free(b);
	}
}

static void names_without_a_byte_or_with_too_many_are_refused(void **state)
{
	char *name = calloc(1, 65537);

	(void)state;
	assert_non_null(name);
	for (size_t bytes = 0; bytes <= 65536; bytes += 65536) {
		struct builder *b = disk_with(1, 9, 3);
		struct rig r;

		memset(name, 'n', bytes);
		rig_begin_well(&r, b, false);
		assert_int_equal(qc_txn_snapshot_rename(r.txn, 0, name, &r.err), -QC_E_ARGUMENT);
		assert_int_equal(rig_end(&r, -QC_E_ARGUMENT), -QC_E_ARGUMENT);
		rig_close(&r);
		builder_free(b);
	}
	free(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_verb_does_what_it_says_in_one_flip),
		cmocka_unit_test(an_abort_leaves_every_byte),
		cmocka_unit_test(a_call_that_fails_once_leaves_every_byte),
		cmocka_unit_test(storage_that_dies_leaves_the_old_or_the_new_image),
		cmocka_unit_test(unknown_extra_data_vm_state_and_strange_names_are_kept),
		cmocka_unit_test(entries_without_extra_data_stay_so),
		cmocka_unit_test(a_refcount_at_its_largest_refuses_create_and_leaves_every_byte),
		cmocka_unit_test(names_without_a_byte_or_with_too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
