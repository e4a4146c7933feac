// SPDX-License-Identifier: MIT
/*
 * Images of at most 1 MiB that claim as much as the format lets them: whatever is done with one takes
 * at most 64 MiB of memory and 2 s. Each is measured in a process of its own. With sanitizers the
 * limits are wider; they only have to catch what grows without bound.
 */
#include "unit/hostile/hostile.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "image/thin.h"
#include "io/file_posix.h"
#include "ops/repair.h"
#include "txn/recover.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define INPUT_BYTES_MAX ((size_t)1 << 20)
#define KILOBYTES_MAX ((64 << 10) * (SANITIZED ? 16 : 1))
#define SECONDS_MAX (2.0 * (SANITIZED ? 10 : 1))
#define EXTENTS_MAX 100000
#define READ_BYTES ((size_t)4 << 20)

struct claim {
	const char *name;
	struct builder_options options;
	uint64_t free_clusters; /* at the end of the file, for `make` to use */
	uint64_t file_bytes;	/* 0: as built; else the file is sparse and that long */
	void (*make)(struct builder *b, uint8_t *bytes, uint64_t free_at);
};

/* --- what they claim --- */

static void share_l2(struct builder *b, uint64_t entry)
{
	const struct qc_geometry *g = builder_geometry(b);
	uint64_t table = builder_peek64(b, builder_l1_entry_at(b, 0)) & QC_L1_OFFSET_MASK;

	for (uint64_t i = 0; i < builder_header(b)->l1_entries; i++)
		builder_poke64(b, builder_l1_entry_at(b, i), table);
	for (uint64_t i = 0; i < g->l2_entries; i++)
		builder_poke64(b, table + i * 8, entry);
	builder_poke_refcount(b, table >> g->cluster_bits, g->refcount_max);
	builder_poke64(b, builder_header_field(size),
		       builder_header(b)->l1_entries * g->l2_span_bytes);
}

static void one_l2_of_zeroes(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	(void)bytes, (void)free_at;
	share_l2(b, QC_L2_ZERO);
}

static void one_l2_of_nothing(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	(void)bytes, (void)free_at;
	share_l2(b, 0);
}

static void one_l2_of_one_cluster(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	uint64_t host = builder_host_of(b, 0);

	(void)bytes, (void)free_at;
	share_l2(b, host);
	builder_poke_refcount(b, host >> builder_geometry(b)->cluster_bits,
			      builder_geometry(b)->refcount_max);
}

static void one_l2_of_one_stream(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	uint64_t entry = builder_peek64(b, builder_l2_entry_at(b, 1));

	(void)bytes, (void)free_at;
	share_l2(b, entry);
	builder_poke_refcount(b, (entry & 0xffffffff) >> builder_geometry(b)->cluster_bits,
			      builder_geometry(b)->refcount_max);
}

static void many_l2_in_one_place(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	(void)bytes, (void)free_at;
	for (uint64_t i = 0; i < builder_header(b)->l1_entries; i++)
		builder_poke64(b, builder_l1_entry_at(b, i),
			       i % 1024 << builder_geometry(b)->cluster_bits);
	builder_poke64(b, builder_header_field(size),
		       builder_header(b)->l1_entries * builder_geometry(b)->l2_span_bytes);
}

static void exabytes(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	uint64_t entries = QC_L1_BYTES_MAX / 8;

	(void)bytes, (void)free_at;
	builder_poke32(b, builder_header_field(l1_size), (uint32_t)entries);
	builder_poke64(b, builder_header_field(size),
		       qc_min(entries * builder_geometry(b)->l2_span_bytes, UINT64_C(1) << 62));
}

/* Entries of 40 bytes; they share an L1 table that is as large as one can be. */
static void put_snapshots(struct builder *b, uint64_t at, uint64_t end, uint64_t entry_bytes,
			  uint32_t extra, uint32_t l1_entries)
{
	uint32_t count = 0;

	builder_poke64(b, builder_header_field(snapshots_offset), at);
	for (; at + entry_bytes <= end && count < QC_SNAPSHOTS_MAX; at += entry_bytes, count++) {
		builder_poke64(b, at, builder_header(b)->l1.byte);
		builder_poke32(b, at + 8, l1_entries);
		builder_poke32(b, at + 36, extra);
	}
	builder_poke32(b, builder_header_field(nb_snapshots), count);
	assert_true(count > 500);
}

static void snapshots_share_l1(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	(void)bytes;
	put_snapshots(b, free_at, free_at + (800 << 10), 40, 0, QC_L1_BYTES_MAX / 8);
}

static void snapshots_with_extra_data(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	(void)bytes;
	put_snapshots(b, free_at, free_at + (800 << 10), 1064, 1024, 1);
}

/* Each L1 table starts one cluster further on, so that no two are the same. */
static void snapshots_with_overlapping_l1(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	uint64_t cluster = builder_geometry(b)->cluster_bytes;

	snapshots_share_l1(b, bytes, free_at);
	for (uint64_t i = 0; i < 20000; i++)
		builder_poke64(b, free_at + i * 40, (1 + i % 2000) * cluster);
}

/* Behind the end of the file all entries are zeroes, which version 2 allows. */
static void snapshots_past_the_end(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	(void)bytes, (void)free_at;
	builder_poke64(b, builder_header_field(snapshots_offset), UINT64_C(1) << 40);
	builder_poke32(b, builder_header_field(nb_snapshots), QC_SNAPSHOTS_MAX);
}

/* All inside the file, so that nothing of it can be passed over. */
static void snapshots_with_l1_tables_inside(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	uint64_t table = builder_peek64(b, builder_l1_entry_at(b, 0)) & QC_L1_OFFSET_MASK;
	uint64_t end = free_at + 700 * 512;

	(void)bytes;
	for (uint64_t at = free_at; at < end; at += 8)
		builder_poke64(b, at, table);
	put_snapshots(b, end, end + (400 << 10), 40, 0, 0);
	for (uint64_t i = 0; i < 10000; i++) {
		uint64_t start = free_at + i % 690 * 512;

		builder_poke64(b, end + i * 40, start);
		builder_poke32(b, end + i * 40 + 8, (uint32_t)((end - start) / 8));
	}
}

static void blocks_in_one_place(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	uint64_t block = builder_refcount_block_at(b, 0);

	(void)bytes;
	builder_poke64(b, builder_header_field(refcount_table_offset), free_at);
	builder_poke32(b, builder_header_field(refcount_table_clusters),
		       QC_REFCOUNT_TABLE_BYTES_MAX >> builder_geometry(b)->cluster_bits);
	for (uint64_t i = 0; i < 100000; i++)
		builder_poke64(b, free_at + i * 8, block);
}

/* Their tables overlap too, and each has as many entries as its place allows. */
static void bitmaps_in_one_place(struct builder *b, uint8_t *bytes, uint64_t free_at)
{
	uint64_t extension = builder_extension_at(b, QC_EXTENSION_BITMAPS);
	uint64_t table;
	uint32_t count = 12500;
	uint64_t room = 400 << 10;

	table = qc_align_up(free_at + count * UINT64_C(32), 512);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t start = table + i % 700 * 512;

		builder_poke64(b, free_at + i * 32, start);
		builder_poke32(b, free_at + i * 32 + 8, (uint32_t)((table + room - start) / 8));
		builder_poke32(b, free_at + i * 32 + 12, QC_BITMAP_IN_USE);
		bytes[free_at + i * 32 + 16] = 1;
		bytes[free_at + i * 32 + 17] = 9;
		builder_poke16(b, free_at + i * 32 + 18, 8);
		builder_poke64(b, free_at + i * 32 + 24, UINT64_C(0x6262626262000000) + i);
	}
	builder_poke32(b, extension + 8, count);
	builder_poke64(b, extension + 16, count * UINT64_C(32));
	builder_poke64(b, extension + 24, free_at);
}

#define SMALL                                                                                      \
	{                                                                                          \
		.version = 3, .cluster_bits = 9, .refcount_order = 4, .disk_bytes = 1 << 20,       \
		.l1_slack = 110000                                                                 \
	}
#define LARGE                                                                                      \
	{                                                                                          \
		.version = 3, .cluster_bits = 16, .refcount_order = 4, .disk_bytes = 1 << 20,      \
		.l1_slack = 65535                                                                  \
	}
#define PLAIN                                                                                      \
	{                                                                                          \
		.version = 3, .cluster_bits = 9, .refcount_order = 4, .disk_bytes = 1 << 20        \
	}
#define PLAIN_V2                                                                                   \
	{                                                                                          \
		.version = 2, .cluster_bits = 9, .refcount_order = 4, .disk_bytes = 1 << 20        \
	}
#define HUGE_CLUSTERS                                                                              \
	{                                                                                          \
		.version = 3, .cluster_bits = 16, .refcount_order = 4, .disk_bytes = 1 << 20       \
	}

static const struct claim claims[] = {
	{"all L2 tables are one, of zeroes", LARGE, 0, 0, one_l2_of_zeroes},
	{"all L2 tables are one, of nothing", LARGE, 0, 0, one_l2_of_nothing},
	{"all clusters are one", LARGE, 0, 0, one_l2_of_one_cluster},
	{"all clusters are one stream", LARGE, 0, 0, one_l2_of_one_stream},
	{"all small L2 tables are one, of zeroes", SMALL, 0, 0, one_l2_of_zeroes},
	{"all small clusters are one", SMALL, 0, 0, one_l2_of_one_cluster},
	{"all small clusters are one stream", SMALL, 0, 0, one_l2_of_one_stream},
	{"L2 tables are whatever there is", SMALL, 0, 0, many_l2_in_one_place},
	{"exabytes of nothing", HUGE_CLUSTERS, 0, 0, exabytes},
	{"small clusters of nothing", PLAIN, 0, 0, exabytes},
	{"20000 snapshots share the largest L1 table", PLAIN_V2, 1700, 0, snapshots_share_l1},
	{"20000 snapshots with overlapping L1 tables", PLAIN_V2, 1700, 0,
	 snapshots_with_overlapping_l1},
	{"snapshots with much extra data", PLAIN_V2, 1700, 0, snapshots_with_extra_data},
	{"65536 snapshots past the end of the file", PLAIN_V2, 0, 0, snapshots_past_the_end},
	{"10000 snapshots, L1 tables inside the file", PLAIN_V2, 1700, 0,
	 snapshots_with_l1_tables_inside},
	{"a million refcount blocks are one", PLAIN, 1700, 0, blocks_in_one_place},
	{"12500 bitmaps with overlapping tables", PLAIN, 1700, 0, bitmaps_in_one_place},
	{"a sparse file of 4 EiB", HUGE_CLUSTERS, 0, UINT64_C(1) << 62, exabytes},
	{"a sparse file of 16 TiB", HUGE_CLUSTERS, 0, UINT64_C(1) << 44, exabytes},
};

/* --- what is done with them --- */

static void ignore(void *context, const struct qc_finding *finding)
{
	(void)context, (void)finding;
}

static void do_info(struct qc_file *file)
{
	const struct qc_finding_sink sink = {.take = ignore};
	struct qc_image *image;
	struct qc_err err;

	if (qc_image_open(file, NULL, &image, &err) == 0) {
		qc_image_is_thin(image);
		qc_image_close(image);
	}
	if (qc_image_open(file, &sink, &image, &err) == 0)
		qc_image_close(image);
}

static void do_map_and_read(struct qc_file *file)
{
	static uint8_t buffer[READ_BYTES];
	struct qc_layer layer = {.path = (char *)"image", .file = file};
	struct qc_chain_extent extent;
	struct qc_view view;
	struct qc_err err;

	if (qc_image_open(file, NULL, &layer.image, &err) < 0)
		return;
	layer.disk_bytes = layer.image->header.disk_bytes;
	qc_view_active(&layer, &view);
	for (uint64_t at = 0, i = 0; at < view.disk_bytes && i < EXTENTS_MAX;
	     at += extent.bytes, i++)
		if (qc_chain_map(&view, qc_guest(at), view.disk_bytes - at, &extent, &err) < 0)
			break;
	qc_read(&view, qc_guest(0), buffer, sizeof(buffer), &err);
	qc_read(&view, qc_guest(view.disk_bytes - sizeof(buffer)), buffer, sizeof(buffer), &err);
	qc_image_close(layer.image);
}

static void do_check(struct qc_file *file)
{
	const struct qc_check_options options = {0};
	const struct qc_finding_sink sink = {.take = ignore};
	struct qc_check_result result;
	struct qc_err err;

	qc_check_run(file, &options, &sink, &result, &err);
}

static void do_deep_check(struct qc_file *file)
{
	const struct qc_check_options options = {.deep = true, .jobs = 2};
	const struct qc_finding_sink sink = {.take = ignore};
	struct qc_check_result result;
	struct qc_err err;

	qc_check_run(file, &options, &sink, &result, &err);
}

static void do_recover(struct qc_file *file)
{
	struct qc_recover_plan plan;
	struct qc_err err;

	qc_recover_look(file, &plan, &err);
}

/* What would be done, so that what follows finds the file as it was. */
static void do_repair(struct qc_file *file)
{
	const struct qc_repair_options options = {.dry_run = true};
	const struct qc_finding_sink sink = {.take = ignore};
	struct qc_repair_files files = {.image = guard_file_open(file, file)};
	struct qc_repair_report report;
	struct qc_err err;

	assert_int_equal(qc_file_posix_temporary(&files.spool, &err), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(qc_file_posix_temporary(&files.scratch[i], &err), 0);
	qc_repair_file(&files, &options, &sink, &sink, &report, &err);
	end_guard(files.image);
}

static void do_write(struct qc_file *file)
{
	const struct qc_txn_options options = {0};
	struct qc_file *guard = guard_file_open(file, file);
	struct qc_txn_report report;
	struct qc_image *image = NULL;
	struct qc_txn *txn;
	struct qc_err err;

	if (qc_image_open(guard, NULL, &image, &err) == 0
	    && qc_txn_begin(image, NULL, &options, &txn, &err) == 0) {
		if (qc_txn_write(txn, qc_guest(700), "bytes", 5, &err) < 0
		    || qc_txn_discard(txn, qc_guest(1 << 17), 1 << 16, &err) < 0)
			qc_txn_abort(txn);
		else
			qc_txn_commit(txn, &report, &err);
	}
	qc_image_close(image);
	end_guard(guard);
}

static const struct {
	const char *name;
	void (*run)(struct qc_file *file);
} uses[] = {{"info", do_info},	     {"map and read", do_map_and_read},
	    {"check", do_check},     {"check --deep", do_deep_check},
	    {"recover", do_recover}, {"check -r all", do_repair},
	    {"write", do_write}};

static int put_claim(const struct claim *c)
{
	struct builder *b = builder_new(&c->options);
	int fd = memfd_create("claim", MFD_CLOEXEC);
	static uint8_t cluster[1 << 16];
	uint64_t free_at;
	uint8_t *bytes;
	size_t length;

	memset(cluster, 0x5a, sizeof(cluster));
	builder_data(b, 0, cluster);
	builder_compressed(b, 1, cluster);
	if (c->make == bitmaps_in_one_place)
		builder_bitmap(b, "bits", 16, 0);
	builder_skip_clusters(b, c->free_clusters);
	builder_finish(b, &bytes, &length);
	/* They lie in front of the refcount table, which was put behind them. */
	free_at = builder_header(b)->refcount_table.byte
		  - c->free_clusters * builder_geometry(b)->cluster_bytes;
	if (c->make == bitmaps_in_one_place)
		free_at -= builder_geometry(b)->cluster_bytes; /* the directory is there too */
	c->make(b, bytes, free_at);
	/* Nothing is refused because its refcount is too low. */
	for (uint64_t i = 0; i < length >> c->options.cluster_bits; i++)
		builder_poke_refcount(b, i, builder_geometry(b)->refcount_max);
	assert_true(length <= INPUT_BYTES_MAX);
	assert_true(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
	if (c->file_bytes)
		assert_int_equal(ftruncate(fd, (off_t)c->file_bytes), 0);
	builder_free(b);
	return fd;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* In a process of its own: memory and processor time are counted for it alone. */
static void measure(int fd, void (*run)(struct qc_file *file), struct rusage *ret)
{
	const struct qc_file_open how = {.writable = true};
	struct qc_file *file;
	char path[64];
	struct qc_err err;
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		alarm(120);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (qc_file_posix_open(path, &how, &file, &err) < 0)
			_exit(1);
		run(file);
		qc_file_close(file);
		_exit(0);
	}
	assert_int_equal(wait4(child, &status, 0, ret), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void memory_and_time_are_bounded(void **state)
{
	const struct claim *c = *state;
	int fd = put_claim(c);

	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		struct rusage used;
		double start = now(), seconds;

		measure(fd, uses[i].run, &used);
		seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
			  + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
		print_message("%-45s %-13s %6.3f s (%.3f s waited) %7ld KiB\n", c->name,
			      uses[i].name, seconds, now() - start, used.ru_maxrss);
		if (seconds > SECONDS_MAX || used.ru_maxrss > KILOBYTES_MAX)
			fail_msg("%s: %.3f s, %ld KiB", uses[i].name, seconds, used.ru_maxrss);
	}
	close(fd);
}

int main(void)
{
	struct CMUnitTest tests[sizeof(claims) / sizeof(claims[0])];

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tests[i] = (struct CMUnitTest){.name = claims[i].name,
					       .test_func = memory_and_time_are_bounded,
					       .initial_state = (void *)(uintptr_t)&claims[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
