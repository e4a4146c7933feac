// SPDX-License-Identifier: MIT
/* A repair drops references that may never have been counted. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "io/file_mem.h"
#include "support/image_builder.h"
#include "support/under_guard.h"
#include "txn/repair.h"
#include "txn/txn_state.h"

/* Half a million counts of one bit in one block: too many for a call each. */
static void any_number_of_uncounted_clusters_can_be_given_up(void **state)
{
	const struct qc_txn_options options = {.repair = true};
	const uint64_t first = 1000, count = 500000;
	struct builder_options o = builder_defaults();
	struct builder *b;
	struct qc_image *image;
	struct qc_file *file, *guard;
	struct qc_txn *txn;
	uint64_t freed = 0, left;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	o.cluster_bits = 16;
	o.refcount_order = 0;
	b = builder_new(&o);
	builder_finish(b, &bytes, &length);
	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	builder_free(b);
	guard = guard_file_open(file, file);
	assert_int_equal(qc_image_open(guard, NULL, &image, &err), 0);
	assert_int_equal(qc_txn_begin(image, NULL, &options, &txn, &err), 0);
	assert_int_equal(qc_txn_repair_begin(txn, false, &err), 0);
	assert_int_equal(qc_txn_repair_count(txn, first + count - 1, 1, &err), 0);
	assert_int_equal(qc_refs_drop(&txn->refs, first, count, &freed, &err), 0);
	assert_int_equal(freed, 1);
	assert_int_equal(qc_refs_get(&txn->refs, first + count - 1, &left, &err), 0);
	assert_int_equal(left, 0);
	qc_txn_abort(txn);
	qc_image_close(image);
	end_guard(guard);
	qc_file_close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_number_of_uncounted_clusters_can_be_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
