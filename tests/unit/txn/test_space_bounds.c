// SPDX-License-Identifier: MIT
/* Where a transaction may write whatever refcounts say, and wherever entries
 * lead. */
#include "unit/txn/operations.h"
#include "unit/txn/places.h"
#include "unit/txn/watch.h"

#define CLUSTER UINT64_C(512)

/* --- the header --- */

static void the_header_is_never_free_whatever_its_count_says(void **state)
{
	const struct qc_txn_options trusting = {.trust_refcounts = true};
	struct builder *b = small_clusters(4, 64 << 10);
	struct qc_file *file;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_data(b, 0, filled(1));
	builder_finish(b, &bytes, &length);
	builder_poke_refcount(b, 0, 0);
	file = copy_of(bytes, length);
	assert_refuses(file, do_write, NULL, QC_E_FORMAT);
	if (run_operation(file, do_write, &trusting, &err) < 0)
		fail_msg("%s", err.text);
	assert_guest(file, 0, filled(1), 10);
	assert_guest(file, 10, filled(0x31), 50);
	qc_file_close(file);
	builder_free(b);
}

/* --- references far beyond the end of the file --- */

struct far {
	uint64_t target;
	unsigned int looks;
};

/* Whatever was written so far is there: the cluster that an entry leads to must
 * not be. */
static int look_at_target(struct watch *w, unsigned int number, struct qc_err *err)
{
	struct far *far = w->context;
	uint8_t bytes[CLUSTER];

	(void)number;
	assert_int_equal(qc_file_read(w->inner, far->target, bytes, sizeof(bytes), err), 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		if (bytes[i] != 0)
			fail_msg("the cluster at 0x%llx was written to",
				 (unsigned long long)far->target);
	far->looks++;
	return 0;
}

/* As a repair finds its space, which alone takes an image that refers to what
 * has no count. */
static int write_clusters(struct qc_file *file, uint64_t count, struct qc_err *err)
{
	const struct qc_txn_options options = {.repair = true};
	struct qc_txn_report report;
	struct qc_image *image;
	struct qc_txn *txn;
	uint8_t bytes[CLUSTER];
	int status = 0;

	memset(bytes, 7, sizeof(bytes));
	assert_int_equal(qc_image_open(file, NULL, &image, err), 0);
	assert_int_equal(qc_txn_begin(image, NULL, &options, &txn, err), 0);
	for (uint64_t i = 8; status == 0 && i < count + 8; i++)
		status = qc_txn_write(txn, qc_guest(i * CLUSTER), bytes, sizeof(bytes), err);
	if (status == 0)
		status = qc_txn_commit(txn, &report, err);
	else
		qc_txn_abort(txn);
	qc_image_close(image);
	return status;
}

static void nothing_is_written_where_an_entry_leads_far_beyond_the_file(void **state)
{
	const uint64_t least = 3900, most = 4300;
	struct builder *b = small_clusters(4, (most + 8) * CLUSTER);
	struct far far = {0};
	unsigned int refused = 0, done = 0;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_data(b, 0, filled(1));
	builder_data(b, 1, filled(2));
	builder_finish(b, &bytes, &length);
	far.target = length + 4200 * CLUSTER;
	builder_poke64(b, builder_l2_entry_at(b, 1), QC_L2_COPIED | far.target);
	for (uint64_t count = least; count < most; count += 3) {
		struct qc_file *file = copy_of(bytes, length);
		struct qc_err err;
		struct watch w;
		int status;

		watch_open(&w, file);
		w.at_sync = look_at_target;
		w.context = &far;
		status = write_clusters(&w.base, count, &err);
		if (status < 0) {
			assert_int_equal(status, -QC_E_NO_SPACE);
			assert_true(same_file(file, bytes, length));
			refused++;
		} else {
			done++;
		}
		qc_file_close(file);
	}
	assert_true(refused > 10 && done > 10 && far.looks > 20);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_is_never_free_whatever_its_count_says),
		cmocka_unit_test(nothing_is_written_where_an_entry_leads_far_beyond_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
