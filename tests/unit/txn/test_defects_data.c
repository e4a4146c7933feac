// SPDX-License-Identifier: MIT
/* The defects of the first patch that are about what is copied, and when; test_defects_refcounts.c
 * lists them all. */
#include "unit/txn/places.h"

#include <errno.h>

static struct builder *with_clusters(uint32_t cluster_bits, uint64_t disk_bytes)
{
	struct builder_options o = builder_defaults();

	o.cluster_bits = cluster_bits;
	o.disk_bytes = disk_bytes;
	return builder_new(&o);
}

/* A snapshot shares the L2 table, one entry is changed, then `r` holds what came of it. */
static void write_under_snapshot(struct rig *r, struct builder *b)
{
	for (uint64_t i = 0; i < 20; i++)
		builder_data(b, i, filled((uint8_t)(i + 1)));
	builder_snapshot(b, "1", "one");
	rig_begin_well(r, b, false);
	rig_write(r, 4 << 12, filled(0xdd), 100);
	rig_commit(r);
}

static void defect_05_a_copied_l2_table_keeps_its_other_entries(void **state)
{
	struct builder *b = with_clusters(12, 1 << 20);
	uint64_t old_table, new_table;
	struct rig r;

	(void)state;
	write_under_snapshot(&r, b);
	old_table = builder_peek64(b, builder_snapshot_l1_entry_at(b, 0, 0)) & QC_L1_OFFSET_MASK;
	new_table = l1_word(r.mem, 0) & QC_L1_OFFSET_MASK;
	assert_int_not_equal(old_table, new_table);
	for (uint64_t i = 0; i < 512; i++) {
		uint64_t old = word_at(r.mem, old_table + i * 8);
		uint64_t new = word_at(r.mem, new_table + i * 8);

		assert_int_equal(old, builder_peek64(b, old_table + i * 8));
		if (i == 4)
			assert_int_not_equal(old & QC_L2_OFFSET_MASK, new &QC_L2_OFFSET_MASK);
		else
			assert_int_equal(old, new);
	}
	assert_sound(r.mem);
	rig_close(&r);
	builder_free(b);
}

static void defect_06_the_old_l2_table_loses_its_reference(void **state)
{
	struct builder *b = with_clusters(12, 1 << 20);
	uint64_t table;
	struct rig r;

	(void)state;
	write_under_snapshot(&r, b);
	table = builder_peek64(b, builder_snapshot_l1_entry_at(b, 0, 0)) & QC_L1_OFFSET_MASK;
	assert_int_equal(builder_refcount(b, table >> 12), 2);
	assert_int_equal(refcount_of(r.mem, table), 1);
	table = l1_word(r.mem, 0) & QC_L1_OFFSET_MASK;
	rig_again(&r, false);
	rig_write(&r, 5 << 12, filled(0xde), 100);
	rig_commit(&r);
	assert_int_not_equal(table, l1_word(r.mem, 0) & QC_L1_OFFSET_MASK);
	assert_int_equal(refcount_of(r.mem, table), 0);
	assert_sound(r.mem);
	rig_close(&r);
	builder_free(b);
}

/* Cut at each call that reaches the storage: exactly the old bytes or exactly the new ones. */
static void cut_everywhere(uint64_t at, size_t length, unsigned int *ret_old, unsigned int *ret_new)
{
	struct builder *b = with_clusters(9, 64 << 10);
	uint8_t *bytes, *now = malloc(length);
	size_t image_length;
	bool cut = true;

	assert_non_null(now);
	for (uint64_t i = 0; i < 10; i++)
		builder_data(b, i, filled(0xaa));
	builder_finish(b, &bytes, &image_length);
	*ret_old = *ret_new = 0;
	for (uint64_t i = 0; cut; i++) {
		struct fault_plan plan = {
			.calls = FAULT_WRITE | FAULT_RESIZE | FAULT_PUNCH | FAULT_SYNC,
			.at = i,
			.sticky = true,
			.os_errno = EIO,
		};
		struct rig r;
		int status;

		rig_open(&r, bytes, image_length, &plan);
		status = rig_begin(&r, NULL, false);
		if (status == 0)
			status = qc_txn_write(r.txn, qc_guest(at), filled(0xbb), length, &r.err);
		rig_end(&r, status);
		cut = fault_happened(r.fault);
		assert_sound(r.mem);
		read_guest(r.mem, NULL, at, now, length);
		*(now[0] == 0xaa ? ret_old : ret_new) += 1;
		for (size_t j = 0; j < length; j++)
			assert_int_equal(now[j], now[0]);
		rig_close(&r);
	}
	free(now);
	builder_free(b);
}

static void defect_09_a_cut_at_any_call_leaves_the_old_or_the_new_cluster(void **state)
{
	unsigned int old, new;

	(void)state;
	cut_everywhere(512, 512, &old, &new);
	assert_true(old > 5); /* the tables, the journal, the barrier, the flip */
	assert_true(new > 2); /* the second barrier, what is given back */
}

static void defect_19_a_write_of_three_clusters_is_not_cut_in_two(void **state)
{
	unsigned int old, new;

	(void)state;
	cut_everywhere(700, 3 * 512, &old, &new);
	assert_true(old > 5);
	assert_true(new > 2);
}

static void defect_10_a_failed_read_while_copying_changes_nothing(void **state)
{
	uint64_t at;
	bool failed = true;

	(void)state;
	for (at = 0; failed; at++) {
		struct fault_plan plan = {.calls = FAULT_READ, .at = at, .os_errno = EIO};
		struct builder *b = with_clusters(12, 1 << 20);
		struct rig r;
		uint8_t *bytes;
		size_t length;
		int status;

		builder_data(b, 0, filled(1));
		builder_compressed(b, 1, filled(2));
		builder_finish(b, &bytes, &length);
		rig_open(&r, bytes, length, &plan);
		status = rig_begin(&r, NULL, false);
		if (status == 0)
			status = qc_txn_write(r.txn, qc_guest(4000), filled(9), 200, &r.err);
		status = rig_end(&r, status);
		failed = fault_happened(r.fault);
		if (status == 0) { /* at the latest while space was given back */
			assert_guest(r.mem, 0, filled(1), 4000);
			assert_guest(r.mem, 4000, filled(9), 200);
			assert_guest(r.mem, 4200, filled(2), 3992);
		} else {
			assert_int_equal(status, -QC_E_IO);
			assert_true(same_file(r.mem, bytes, length));
		}
		rig_close(&r);
		builder_free(b);
	}
	assert_true(at > 8);
}

/* Eight tables of 2 MiB fit into memory; each of these writes needs another one, all of them twice. */
static void defect_11_tables_that_do_not_fit_into_memory_are_used_safely(void **state)
{
	const uint64_t span = UINT64_C(1) << 39, tables = 11;
	struct builder *b = with_clusters(21, tables * span);
	struct rig r;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_finish(b, &bytes, &length);
	rig_open(&r, bytes, length, NULL);
	rig_again(&r, false);
	for (uint64_t round = 0; round < 2; round++)
		for (uint64_t i = 0; i < tables; i++)
			rig_write(&r, i * span + round * 5, &(uint8_t){(uint8_t)(i + 1)}, 1);
	rig_commit(&r);
	for (uint64_t i = 0; i < tables; i++) {
		uint8_t expected[6] = {(uint8_t)(i + 1), 0, 0, 0, 0, (uint8_t)(i + 1)};

		assert_guest(r.mem, i * span, expected, sizeof(expected));
	}
	assert_sound(r.mem);
	rig_close(&r);
	builder_free(b);
}

static void write_well(struct rig *r)
{
	r->guard->ops->close(r->guard);
	r->fault->ops->close(r->fault);
	r->fault = fault_file_open(r->mem, &(struct fault_plan){.at = UINT64_MAX});
	r->guard = guard_file_open(r->fault, r->mem);
	rig_again(r, false);
	rig_write(r, 600, filled(0x3c), 1700);
	rig_commit(r);
}

static void defect_12_a_good_write_after_a_failed_one_is_as_if_it_had_not_been(void **state)
{
	struct builder *b = with_clusters(9, 64 << 10);
	struct rig clean, r;
	uint8_t *bytes;
	size_t length;
	bool failed = true;

	(void)state;
	for (uint64_t i = 0; i < 9; i++)
		builder_data(b, i, filled((uint8_t)i));
	builder_skip_clusters(b, 7);
	builder_data(b, 1, filled(1));
	builder_finish(b, &bytes, &length);
	rig_open(&clean, bytes, length, NULL);
	write_well(&clean);
	for (uint64_t at = 0; failed; at++) {
		struct fault_plan plan = {.calls = FAULT_WRITE, .at = at, .os_errno = EIO};
		int status;

		rig_open(&r, bytes, length, &plan);
		rig_must(&r, rig_begin(&r, NULL, false));
		status = qc_txn_write(r.txn, qc_guest(100), filled(0xf0), 3000, &r.err);
		status = rig_end(&r, status);
		failed = status < 0;
		if (failed) {
			write_well(&r);
			assert_true(same_file(r.mem, qc_file_mem_bytes(clean.mem),
					      (size_t)clean.mem->bytes));
			assert_sound(r.mem);
		}
		rig_close(&r);
	}
	rig_close(&clean);
	builder_free(b);
}

static void defect_17_a_partial_write_keeps_the_backing_files_bytes(void **state)
{
	struct builder *b = with_clusters(12, 64 << 10);
	struct qc_layer backing = {.disk_bytes = 50000};
	uint8_t expected[8192];
	struct rig r;
	uint8_t *bytes;
	size_t length;

	(void)state;
	assert_int_equal(qc_file_mem_open(filled(0xbb), 50000, &backing.file, &r.err), 0);
	builder_finish(b, &bytes, &length);
	rig_open(&r, bytes, length, NULL);
	rig_must(&r, rig_begin(&r, &backing, false));
	rig_write(&r, 5000, filled(0x11), 100);
	rig_write(&r, 49152 + 10, filled(0x22), 10); /* its last cluster: it ends inside */
	rig_commit(&r);
	read_guest(r.mem, NULL, 4096, expected, 4096); /* without the backing file: all is copied */
	for (size_t i = 0; i < 4096; i++)
		assert_int_equal(expected[i], i >= 904 && i < 1004 ? 0x11 : 0xbb);
	read_guest(r.mem, NULL, 49152, expected, 4096);
	for (size_t i = 0; i < 4096; i++)
		assert_int_equal(expected[i], i >= 10 && i < 20	  ? 0x22
					      : i < 50000 - 49152 ? 0xbb
								  : 0);
	assert_sound(r.mem);
	rig_close(&r);
	qc_file_close(backing.file);
	builder_free(b);
}

static void defect_17_an_encrypted_image_is_refused(void **state)
{
	for (uint32_t method = 1; method <= 2; method++) {
		struct builder *b = with_clusters(12, 64 << 10);
		struct rig r;
		uint8_t *bytes;
		size_t length;
		int status;

		(void)state;
		builder_data(b, 0, filled(1));
		builder_finish(b, &bytes, &length);
		builder_poke32(b, builder_header_field(crypt_method), method);
		rig_open(&r, bytes, length, NULL);
		status = rig_begin(&r, NULL, false);
		if (status == 0)
			status = qc_txn_write(r.txn, qc_guest(0), filled(2), 512, &r.err);
		if (status != -QC_E_UNSUPPORTED && status != -QC_E_FORMAT)
			fail_msg("%d: %s", status, r.err.text);
		assert_int_equal(rig_end(&r, status), status);
		assert_true(same_file(r.mem, bytes, length));
		rig_close(&r);
		builder_free(b);
	}
}

/* Whatever the flag says, the old cluster is not written to. */
static void defect_18_copied_is_not_trusted(void **state)
{
	for (int copied = 0; copied < 2; copied++) {
		struct builder *b = with_clusters(12, 64 << 10);
		struct rig r;
		uint64_t host;
		uint8_t *bytes;
		size_t length;

		(void)state;
		builder_data(b, 2, filled(0x70));
		builder_finish(b, &bytes, &length);
		host = builder_host_of(b, 2);
		if (copied)
			builder_poke_refcount(b, host >> 12, 2);
		else
			builder_poke64(b, builder_l2_entry_at(b, 2), host);
		rig_open(&r, bytes, length, NULL);
		rig_again(&r, false);
		rig_write(&r, 2 << 12, filled(0x71), 4096);
		rig_commit(&r);
		if (copied)
			assert_memory_equal(qc_file_mem_bytes(r.mem) + host, filled(0x70), 4096);
		assert_int_equal(refcount_of(r.mem, host), copied ? 1 : 0);
		assert_guest(r.mem, 2 << 12, filled(0x71), 4096);
		assert_sound_but(r.mem, copied ? 1 : 0);
		rig_close(&r);
		builder_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defect_05_a_copied_l2_table_keeps_its_other_entries),
		cmocka_unit_test(defect_06_the_old_l2_table_loses_its_reference),
		cmocka_unit_test(defect_09_a_cut_at_any_call_leaves_the_old_or_the_new_cluster),
		cmocka_unit_test(defect_10_a_failed_read_while_copying_changes_nothing),
		cmocka_unit_test(defect_11_tables_that_do_not_fit_into_memory_are_used_safely),
		cmocka_unit_test(
			defect_12_a_good_write_after_a_failed_one_is_as_if_it_had_not_been),
		cmocka_unit_test(defect_17_a_partial_write_keeps_the_backing_files_bytes),
		cmocka_unit_test(defect_17_an_encrypted_image_is_refused),
		cmocka_unit_test(defect_18_copied_is_not_trusted),
		cmocka_unit_test(defect_19_a_write_of_three_clusters_is_not_cut_in_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
