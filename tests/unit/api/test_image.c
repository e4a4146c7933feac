// SPDX-License-Identifier: MIT
#include "unit/api/fixture.h"

#include <endian.h>

static void bytes_past_the_end_of_the_disk_are_refused(void **state)
{
	struct qcowtool_extent extent;
	struct qcowtool_image *image;
	char bytes[2];
	struct scene s;

	(void)state;
	start(&s);
	assert_int_equal(qcowtool_open(s.path, NULL, 0, &image, &s.error), 0);
	assert_int_equal(qcowtool_disk_bytes(image), DISK_BYTES);
	assert_int_equal(qcowtool_read(image, DISK_BYTES - 2, bytes, 2, &s.error), 0);
	assert_int_equal(qcowtool_read(image, DISK_BYTES - 1, bytes, 2, &s.error),
			 -QCOWTOOL_E_RANGE);
	assert_int_equal(qcowtool_read(image, UINT64_MAX, bytes, 2, NULL), -QCOWTOOL_E_RANGE);
	assert_int_equal(qcowtool_map(image, DISK_BYTES, 1, &extent, NULL), -QCOWTOOL_E_RANGE);
	assert_int_equal(qcowtool_map(image, 0, 0, &extent, NULL), -QCOWTOOL_E_ARGUMENT);
	qcowtool_close(image);
	end(&s);
}

static void the_map_tells_stored_bytes_from_zeroes(void **state)
{
	const uint64_t cluster = UINT64_C(65536);
	struct qcowtool_extent extent;
	struct qcowtool_image *image;
	struct scene s;

	(void)state;
	start(&s);
	put(&s, cluster, "data");
	assert_int_equal(qcowtool_open(s.path, NULL, 0, &image, &s.error), 0);
	assert_int_equal(qcowtool_map(image, 0, UINT64_MAX, &extent, &s.error), 0);
	assert_int_equal(extent.flags, QCOWTOOL_EXTENT_ZERO);
	assert_int_equal(extent.bytes, cluster);
	assert_null(extent.file);
	assert_int_equal(qcowtool_map(image, cluster + 1, UINT64_MAX, &extent, &s.error), 0);
	assert_int_equal(extent.flags,
			 QCOWTOOL_EXTENT_PRESENT | QCOWTOOL_EXTENT_DATA | QCOWTOOL_EXTENT_HOST);
	assert_int_equal(extent.bytes, cluster - 1);
	assert_int_equal(extent.depth, 0);
	assert_int_equal(extent.host % cluster, 1);
	assert_string_equal(extent.file, s.path);
	qcowtool_close(image);
	end(&s);
}

static void snapshots_are_listed(void **state)
{
	struct qcowtool_snapshot snapshot;
	struct qcowtool_image *image;
	struct scene s;

	(void)state;
	start(&s);
	assert_int_equal(qcowtool_snapshot_create(s.path, "before", 1234, 0, &s.error), 0);
	assert_int_equal(qcowtool_open(s.path, NULL, 0, &image, &s.error), 0);
	assert_int_equal(qcowtool_snapshot_get(image, 0, &snapshot, &s.error), 0);
	assert_string_equal(snapshot.id, "1");
	assert_string_equal(snapshot.name, "before");
	assert_int_equal(snapshot.date_sec, 1234);
	assert_int_equal(snapshot.disk_bytes, DISK_BYTES);
	assert_int_equal(qcowtool_snapshot_get(image, 1, &snapshot, NULL), -QCOWTOOL_E_NOT_FOUND);
	qcowtool_close(image);
	end(&s);
}

static void what_fails_says_why_and_returns_nothing(void **state)
{
	struct qcowtool_image *image = NULL;
	struct qcowtool_check check;
	struct scene s;

	(void)state;
	start(&s);
	assert_int_equal(qcowtool_open("/nonexistent", NULL, 0, &image, &s.error),
			 -QCOWTOOL_E_NOT_FOUND);
	assert_int_equal(s.error.code, QCOWTOOL_E_NOT_FOUND);
	assert_true(strlen(s.error.text) > 0);
	assert_int_equal(qcowtool_open(s.path, "absent", 0, &image, NULL), -QCOWTOOL_E_NOT_FOUND);
	assert_int_equal(qcowtool_open(s.path, NULL, QCOWTOOL_DEEP, &image, NULL),
			 -QCOWTOOL_E_ARGUMENT);
	assert_int_equal(qcowtool_check(s.path, 1u << 31, NULL, NULL, &check, NULL),
			 -QCOWTOOL_E_ARGUMENT);
	assert_null(image);
	end(&s);
}

struct seen {
	uint64_t leaks;
	uint64_t host;
};

static void take(void *context, const struct qcowtool_finding *finding)
{
	struct seen *seen = context;

	if (finding->severity != QCOWTOOL_LEAK)
		return;
	assert_string_equal(finding->id, "cluster-leaked");
	seen->leaks++;
	seen->host = finding->host;
}

static uint64_t read_word(FILE *file, uint64_t at)
{
	uint64_t word;

	assert(fseek(file, (long)at, SEEK_SET) == 0);
	assert(fread(&word, 8, 1, file) == 1);
	return be64toh(word);
}

/* Counts a reference to a cluster that has none: two bytes in the first refcount block. */
static void leak_cluster(const char *path, long cluster)
{
	const uint64_t table_offset = 48; /* in the header */
	FILE *file = fopen(path, "r+b");
	uint64_t block;

	assert(file != NULL);
	block = read_word(file, read_word(file, table_offset));
	assert(fseek(file, (long)block + 2 * cluster, SEEK_SET) == 0);
	assert(fwrite("\0\1", 1, 2, file) == 2);
	assert(fclose(file) == 0);
}

static void the_check_counts_and_passes_findings_on(void **state)
{
	struct qcowtool_check check;
	struct seen seen = {0};
	struct scene s;

	(void)state;
	start(&s);
	put(&s, 0, "data");
	assert_int_equal(qcowtool_check(s.path, QCOWTOOL_DEEP, take, &seen, &check, &s.error), 0);
	assert_int_equal(check.corruptions + check.leaks + check.unchecked, 0);
	assert_int_equal(check.allocated_clusters, 1);
	assert_int_equal(check.total_clusters, DISK_BYTES / 65536);
	assert_int_equal(seen.leaks, 0);
	leak_cluster(s.path, 20);
	assert_int_equal(truncate(s.path, 21 * 65536), 0);
	assert_int_equal(qcowtool_check(s.path, 0, take, &seen, &check, &s.error), 0);
	assert_int_equal(check.leaks, 1);
	assert_int_equal(seen.leaks, 1);
	assert_int_equal(seen.host, 20 * 65536);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_past_the_end_of_the_disk_are_refused),
		cmocka_unit_test(the_map_tells_stored_bytes_from_zeroes),
		cmocka_unit_test(snapshots_are_listed),
		cmocka_unit_test(what_fails_says_why_and_returns_nothing),
		cmocka_unit_test(the_check_counts_and_passes_findings_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
