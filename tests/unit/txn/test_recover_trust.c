// SPDX-License-Identifier: MIT
/*
 * Whom recovery believes, and in which order it acts: a guest can write any bytes, digests included,
 * into the clusters it is given.
 */
#include "unit/txn/forged_journal.h"
#include "unit/txn/places.h"
#include "unit/txn/watch.h"

#include "txn/recover.h"

#define CLUSTER ((size_t)1 << 16)
#define NAME "/etc/passwd"

/* --- an image whose last cluster is the guest's, and journals in it or behind it --- */

/* Guest cluster 0 is data, and guest cluster 5 the last of the file. */
static struct qc_file *guests_image(bool last_is_used)
{
	struct builder *b = builder_new(NULL);
	struct qc_file *file;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	builder_data(b, 0, filled(0x77));
	builder_finish(b, &bytes, &length);
	if (last_is_used) {
		builder_poke64(b, builder_l2_entry_at(b, 5), QC_L2_COPIED | length);
		builder_poke_refcount(b, length / CLUSTER, 1);
	}
	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	assert_int_equal(qc_file_resize(file, length + CLUSTER, &err), 0);
	builder_free(b);
	return file;
}

/* A head that says nothing happened to this image. */
static struct qc_journal_head head_of(struct qc_file *file)
{
	struct qc_journal_head head = {
		.cluster_bits = 16,
		.file_bytes_before = file->bytes - CLUSTER,
		.file_bytes_after = file->bytes - CLUSTER,
	};

	memcpy(head.before, qc_file_mem_bytes(file), sizeof(head.before));
	memcpy(head.after, qc_file_mem_bytes(file), sizeof(head.after));
	return head;
}

static enum qc_recover_state look(struct qc_file *file)
{
	struct qc_recover_plan plan;
	struct qc_err err;

	if (qc_recover_look(file, &plan, &err) < 0)
		fail_msg("%s", err.text);
	return plan.state;
}

/* Recovery and a write behave as if there were no journal at all. */
static void assert_not_believed(struct qc_file *file)
{
	size_t length = (size_t)file->bytes;
	uint8_t *old = malloc(length);
	struct qc_header header;
	struct qc_err err;

	assert_non_null(old);
	memcpy(old, qc_file_mem_bytes(file), length);
	assert_int_equal(look(file), QC_RECOVER_CLEAN);
	assert_int_equal(settle(file, &err), 0);
	assert_true(same_file(file, old, length));
	if (watch_write_guest(file, 100, 0x31, &err) < 0)
		fail_msg("%s", err.text);
	header = places_of(file).header;
	assert_true(qc_host_is_none(header.backing_name));
	assert_int_equal(header.backing_name_bytes, 0);
	assert_memory_equal(qc_file_mem_bytes(file) + PADDING_AT, old + PADDING_AT, 8);
	assert_guest(file, 0, filled(0x77), 100);
	assert_guest(file, 100, filled(0x31), 1000);
	assert_guest(file, 1100, filled(0x77), CLUSTER - 1100);
	assert_guest(file, 5 * CLUSTER, old + length - CLUSTER, CLUSTER);
	assert_sound(file);
	free(old);
}

/* --- what a guest writes --- */

static void a_guest_cannot_give_the_image_a_backing_file(void **state)
{
	struct qc_file *file = guests_image(true);
	struct qc_journal_head head = head_of(file);

	(void)state;
	head.before[PADDING_AT] ^= 1; /* so that sector 0 looks torn */
	add_backing(head.after, NAME);
	put_journal(file, file->bytes, &head, NULL);
	assert_not_believed(file);
	qc_file_close(file);
}

static void a_guest_cannot_have_live_clusters_freed(void **state)
{
	struct qc_file *file = guests_image(true);
	struct qc_journal_head head = head_of(file);
	struct qc_journal_record freed = {
		.kind = QC_JOURNAL_FREED,
		.old_host = qc_host(l2_word(file, 0) & QC_L2_OFFSET_MASK),
		.length = CLUSTER,
	};

	(void)state;
	head.before[PADDING_AT] ^= 1;
	head.records = 1;
	put_journal(file, file->bytes, &head, &freed);
	assert_not_believed(file);
	qc_file_close(file);
}

static void a_guest_cannot_have_its_own_cluster_cut_off(void **state)
{
	struct qc_file *file = guests_image(true);
	struct qc_journal_head head = head_of(file);

	(void)state;
	head.after[PADDING_AT] ^= 1; /* never committed, it seems */
	put_journal(file, file->bytes, &head, NULL);
	assert_not_believed(file);
	qc_file_close(file);
}

/* The control of the three: behind the used clusters the same bytes are a journal. */
static void the_same_journals_in_free_clusters_are_journals(void **state)
{
	struct qc_journal_head head;
	struct qc_journal_record freed = {.kind = QC_JOURNAL_FREED,
					  .old_host = {0},
					  .length = CLUSTER};

	(void)state;
	for (int committed = 0; committed < 2; committed++) {
		struct qc_file *file = guests_image(false);
		uint64_t used = file->bytes - CLUSTER;
		struct qc_err err;

		freed.old_host = qc_host(l2_word(file, 0) & QC_L2_OFFSET_MASK);
		head = head_of(file);
		(committed ? head.before : head.after)[PADDING_AT] ^= 1;
		head.records = 1;
		put_journal(file, file->bytes, &head, &freed);
		assert_int_equal(look(file),
				 committed ? QC_RECOVER_COMMITTED : QC_RECOVER_NOT_COMMITTED);
		assert_int_equal(settle(file, &err), 0);
		assert_int_equal(file->bytes, used);
		assert_guest(file, 0, filled(0x77), CLUSTER); /* live, whatever a journal says */
		assert_sound(file);
		qc_file_close(file);
	}
}

/*
 * A guest wrote it, then a snapshot was applied: its cluster is free, its bytes are still there. The
 * most it gets is that a person is asked.
 */
static void a_guests_journal_in_a_freed_cluster_cannot_change_the_header(void **state)
{
	struct qc_file *file = guests_image(false);
	struct qc_journal_head head = head_of(file);
	size_t length = (size_t)file->bytes;
	struct qc_file *guard = guard_file_open(file, file);
	struct qc_recover_plan plan;
	struct qc_err err;
	uint8_t *old;

	(void)state;
	head.before[PADDING_AT] ^= 1; /* behind all that the other side changes: torn once */
	add_backing(head.after, NAME);
	put_journal(file, file->bytes, &head, NULL);
	old = malloc(length);
	assert_non_null(old);
	memcpy(old, qc_file_mem_bytes(file), length);
	assert_int_equal(qc_recover_look(guard, &plan, &err), 0);
	assert_int_equal(plan.state, QC_RECOVER_DOUBTFUL);
	assert_true(qc_recover_is_stuck(&plan));
	assert_int_equal(qc_recover_apply(guard, &plan, &err), 0);
	assert_true(same_file(file, old, length));
	qc_recover_resolve(&plan, false);
	assert_int_equal(qc_recover_apply(guard, &plan, &err), 0);
	end_guard(guard);
	assert_int_equal(file->bytes, length - CLUSTER);
	assert_true(same_file(file, old, length - CLUSTER));
	assert_guest(file, 0, filled(0x77), CLUSTER);
	assert_sound(file);
	qc_file_close(file);
	free(old);
}

/* --- journals that cannot be this image's --- */

static void clobber_cluster_bits(struct qc_journal_head *head)
{
	head->cluster_bits = 9;
}

static void clobber_version(struct qc_journal_head *head)
{
	qc_store_be32(head->before + offsetof(struct qc_disk_header, version), 2);
}

static void clobber_crypt_method(struct qc_journal_head *head)
{
	qc_store_be32(head->after + offsetof(struct qc_disk_header, crypt_method), 2);
}

static void clobber_refcount_order(struct qc_journal_head *head)
{
	qc_store_be32(head->before + offsetof(struct qc_disk_header, refcount_order), 3);
}

static void clobber_features(struct qc_journal_head *head)
{
	qc_store_be64(head->after + offsetof(struct qc_disk_header, incompatible_features),
		      QC_INCOMPAT_EXTENDED_L2);
}

static void a_journal_that_disagrees_in_what_never_changes_is_none(void **state)
{
	static void (*const clobber[])(struct qc_journal_head * head) = {
		clobber_cluster_bits,	clobber_version,  clobber_crypt_method,
		clobber_refcount_order, clobber_features,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(clobber) / sizeof(clobber[0]); i++) {
		struct qc_file *file = guests_image(false);
		struct qc_journal_head head = head_of(file);
		uint64_t length = file->bytes;
		struct qc_err err;

		head.before[PADDING_AT] ^= 1;
		clobber[i](&head);
		put_journal(file, file->bytes, &head, NULL);
		if (look(file) != QC_RECOVER_CLEAN)
			fail_msg("variant %zu is believed", i);
		assert_int_equal(settle(file, &err), 0);
		assert_int_equal(file->bytes, length);
		qc_file_close(file);
	}
}

static void the_journal_of_another_image_is_cut_off_and_no_more(void **state)
{
	struct qc_file *file = guests_image(false);
	struct qc_journal_head head = head_of(file);
	uint64_t used = file->bytes - CLUSTER;
	uint8_t sector[QC_SECTOR_BYTES];
	struct qc_err err;

	(void)state;
	memcpy(sector, qc_file_mem_bytes(file), sizeof(sector));
	for (size_t i = 0; i < 2; i++) { /* elsewhere, and a disk of another length */
		uint8_t *side = i ? head.after : head.before;

		qc_store_be64(side + offsetof(struct qc_disk_header, size), UINT64_C(5) << 30);
		qc_store_be64(side + offsetof(struct qc_disk_header, l1_table_offset),
			      (i + 7) * CLUSTER);
	}
	put_journal(file, file->bytes, &head, NULL);
	assert_int_equal(look(file), QC_RECOVER_STALE);
	assert_int_equal(settle(file, &err), 0);
	assert_int_equal(file->bytes, used);
	assert_memory_equal(qc_file_mem_bytes(file), sector, sizeof(sector));
	assert_guest(file, 0, filled(0x77), CLUSTER);
	assert_sound(file);
	qc_file_close(file);
}

/* --- what a crash of our own leaves --- */

static int fail_last_sync(struct watch *w, unsigned int number, struct qc_err *err)
{
	const unsigned int *last = w->context;

	return number == *last ? qc_fail(err, QC_E_IO, "the sync that had to fail") : 0;
}

/* An image whose commit wrote sector 0 and did not see its sync end; *ret_old is what it was. */
static struct qc_file *committed_image(uint8_t ret_old[QC_SECTOR_BYTES])
{
	struct builder *b = builder_new(NULL);
	unsigned int last = 2;
	struct qc_file *file;
	struct watch w;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	builder_data(b, 0, filled(0x77));
	builder_data(b, 1, filled(0x78));
	builder_finish(b, &bytes, &length);
	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	memcpy(ret_old, bytes, QC_SECTOR_BYTES);
	builder_free(b);
	watch_open(&w, file);
	w.at_sync = fail_last_sync;
	w.context = &last;
	assert_int_equal(watch_write_guest(&w.base, 100, 0x31, &err), -QC_E_OUTCOME_UNKNOWN);
	assert_int_equal(look(file), QC_RECOVER_COMMITTED);
	return file;
}

static void a_committed_state_is_made_durable_before_anything_goes(void **state)
{
	uint8_t old[QC_SECTOR_BYTES], new[QC_SECTOR_BYTES];
	struct qc_file *file = committed_image(old);
	struct watch w;
	struct qc_err err;

	(void)state;
	memcpy(new, qc_file_mem_bytes(file), sizeof(new));
	watch_open(&w, file);
	assert_int_equal(settle(&w.base, &err), 0);
	if (strncmp(w.log, "S0D", 3) != 0 || !strpbrk(w.log + 3, "PR") || strpbrk(w.log + 3, "0W"))
		fail_msg("changed in the order %s", w.log);
	assert_memory_equal(qc_file_mem_bytes(file), new, sizeof(new));
	assert_guest(file, 100, filled(0x31), 1000);
	assert_guest(file, CLUSTER, filled(0x78), CLUSTER);
	assert_sound(file);
	qc_file_close(file);
}

static void an_uncommitted_state_is_made_durable_before_its_tail_goes(void **state)
{
	uint8_t old[QC_SECTOR_BYTES];
	struct qc_file *file = committed_image(old);
	struct watch w;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_file_write(file, 0, old, sizeof(old), &err), 0);
	assert_int_equal(look(file), QC_RECOVER_NOT_COMMITTED);
	watch_open(&w, file);
	assert_int_equal(settle(&w.base, &err), 0);
	if (w.log[0] != 'S' || !strchr(w.log, 'R') || strpbrk(w.log, "0WP"))
		fail_msg("changed in the order %s", w.log);
	assert_guest(file, 0, filled(0x77), CLUSTER);
	assert_sound(file);
	qc_file_close(file);
}

/* A sync that fails while settling: nothing was given back; the one after sector 0 decides nothing. */
static void nothing_goes_if_a_sync_of_recovery_fails(void **state)
{
	(void)state;
	for (unsigned int last = 0; last < 2; last++) {
		uint8_t old[QC_SECTOR_BYTES];
		struct qc_file *file = committed_image(old);
		size_t length = (size_t)file->bytes;
		uint8_t *before = malloc(length);
		struct watch w;
		struct qc_err err;

		assert_non_null(before);
		memcpy(before, qc_file_mem_bytes(file), length);
		watch_open(&w, file);
		w.at_sync = fail_last_sync;
		w.context = &last;
		assert_int_equal(settle(&w.base, &err),
				 last == 0 ? -QC_E_IO : -QC_E_OUTCOME_UNKNOWN);
		assert_true(same_file(file, before, length));
		assert_int_equal(look(file), QC_RECOVER_COMMITTED);
		qc_file_close(file);
		free(before);
	}
}

/* The header that a transaction finds may not be on stable storage yet. */
static void a_transactions_first_change_comes_after_a_sync(void **state)
{
	struct builder *b = builder_new(NULL);
	struct qc_file *file;
	struct watch w;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_data(b, 0, filled(0x77));
	builder_finish(b, &bytes, &length);
	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	builder_free(b);
	for (uint64_t i = 0; i < 3; i++) { /* each of them, not only the first one of a process */
		watch_open(&w, file);
		assert_int_equal(watch_write_guest(&w.base, i * CLUSTER, 0x31, &err), 0);
		if (w.log[0] != 'S' || !strstr(w.log, "WS0D"))
			fail_msg("changed in the order %s", w.log);
	}
	assert_sound(file);
	qc_file_close(file);
}

static void recovery_leaves_dirty_and_corrupt_images_alone(void **state)
{
	static const uint64_t bits[] = {QC_INCOMPAT_DIRTY, QC_INCOMPAT_CORRUPT,
					QC_INCOMPAT_DIRTY | QC_INCOMPAT_CORRUPT};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(bits) / sizeof(bits[0]); i++) {
		uint8_t old[QC_SECTOR_BYTES];
		struct qc_file *file = committed_image(old);
		size_t length = (size_t)file->bytes;
		uint8_t *before = malloc(length);
		struct qc_err err;

		assert_non_null(before);
		if (i % 2)
			assert_int_equal(qc_file_write(file, 0, old, sizeof(old), &err), 0);
		put_word(file, offsetof(struct qc_disk_header, incompatible_features), bits[i / 2]);
		memcpy(before, qc_file_mem_bytes(file), length);
		assert_int_not_equal(look(file), QC_RECOVER_CLEAN);
		assert_int_equal(settle(file, &err), -QC_E_FORMAT);
		assert_non_null(strstr(err.text, "repaired first"));
		assert_true(same_file(file, before, length));
		qc_file_close(file);
		free(before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_cannot_give_the_image_a_backing_file),
		cmocka_unit_test(a_guest_cannot_have_live_clusters_freed),
		cmocka_unit_test(a_guest_cannot_have_its_own_cluster_cut_off),
		cmocka_unit_test(the_same_journals_in_free_clusters_are_journals),
		cmocka_unit_test(a_guests_journal_in_a_freed_cluster_cannot_change_the_header),
		cmocka_unit_test(a_journal_that_disagrees_in_what_never_changes_is_none),
		cmocka_unit_test(the_journal_of_another_image_is_cut_off_and_no_more),
		cmocka_unit_test(a_committed_state_is_made_durable_before_anything_goes),
		cmocka_unit_test(an_uncommitted_state_is_made_durable_before_its_tail_goes),
		cmocka_unit_test(nothing_goes_if_a_sync_of_recovery_fails),
		cmocka_unit_test(a_transactions_first_change_comes_after_a_sync),
		cmocka_unit_test(recovery_leaves_dirty_and_corrupt_images_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
