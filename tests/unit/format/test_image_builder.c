// SPDX-License-Identifier: MIT
/* The images that other tests start from are sound: QEMU says so, and so do our decoders. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/bitmap_directory.h"
#include "format/header_extensions.h"
#include "format/l2_entry.h"
#include "format/snapshot_table.h"
#include "support/found.h"
#include "support/image_builder.h"

/* One cluster of bytes that compress well and differ from guest cluster to guest cluster. */
static uint8_t *pattern(const struct builder *b, uint64_t seed)
{
	static uint8_t bytes[1 << 21];
	size_t length = (size_t)builder_geometry(b)->cluster_bytes;

	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(seed * 7 + 1 + i / 64);
	return bytes;
}

/* As many kinds of clusters as the options allow, in the first, second and last L2 table. */
static void fill(struct builder *b, const struct builder_options *o)
{
	const struct qc_geometry *g = builder_geometry(b);
	uint64_t last = (o->disk_bytes - 1) / g->cluster_bytes;

	builder_data(b, 0, pattern(b, 0));
	builder_data(b, 1, pattern(b, 1));
	builder_compressed(b, 2, pattern(b, 2));
	if (o->refcount_order > 0)
		builder_compressed(b, 3, pattern(b, 3));
	builder_compressed_at(b, 4, pattern(b, 4), g->cluster_bytes - 1);
	if (o->version >= 3) {
		builder_zero(b, 5);
		builder_zero_alloc(b, 6);
	}
	if (o->extended_l2)
		builder_subclusters(b, 7, pattern(b, 7), 0x0000ffff, 0xff000000);
	if (o->refcount_order >= 2) {
		builder_snapshot(b, "1", "first");
		builder_data(b, 1, pattern(b, 11));
		builder_unallocated(b, 3);
		builder_snapshot(b, "2", "second");
	}
	builder_data(b, last, pattern(b, last));
	if (o->version >= 3)
		builder_bitmap(b, "dirty", 16, 0);
	builder_skip_clusters(b, 3);
}

static struct builder *built(const struct builder_options *options)
{
	struct builder *b = builder_new(options);
	uint8_t *bytes;
	size_t length;

	fill(b, options);
	builder_finish(b, &bytes, &length);
	return b;
}

static struct builder_options small(uint32_t version, uint32_t cluster_bits, uint32_t order,
				    bool extended_l2)
{
	struct builder_options o = builder_defaults();

	o.version = version;
	o.cluster_bits = cluster_bits;
	o.refcount_order = order;
	o.extended_l2 = extended_l2;
	o.disk_bytes = (UINT64_C(200) << cluster_bits) - 512;
	o.l1_slack = 2;
	return o;
}

static void assert_referee_accepts(const struct builder_options *options)
{
	char path[] = "/tmp/qcow-built-XXXXXX";
	char command[128];
	struct builder *b = built(options);
	int fd = mkstemp(path);
	int status;

	assert_true(fd >= 0);
	close(fd);
	builder_write_file(b, path);
	snprintf(command, sizeof(command), "qemu-img check -q -f qcow2 %s", path);
	status = system(command); /* NOLINT: a referee, with a path of our own */
	unlink(path);
	builder_free(b);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("status %d for version %u, clusters 2^%u, refcounts 2^%u, extended %d",
			 status, options->version, options->cluster_bits, options->refcount_order,
			 options->extended_l2);
}

static void need_referee(void)
{
	if (system("command -v qemu-img >/dev/null 2>&1") == 0)
		return;
	print_message("qemu-img is not installed: nobody to referee the built images\n");
	skip();
}

static void qemu_accepts_every_cluster_size(void **state)
{
	(void)state;
	need_referee();
	for (uint32_t bits = 9; bits <= 21; bits++) {
		struct builder_options o = small(3, bits, 4, false);

		if (bits > 16)
			o.disk_bytes = (UINT64_C(16) << bits) - 512;
		assert_referee_accepts(&o);
	}
}

static void qemu_accepts_every_refcount_width(void **state)
{
	(void)state;
	need_referee();
	for (uint32_t order = 0; order <= 6; order++) {
		struct builder_options o = small(3, 12, order, false);

		assert_referee_accepts(&o);
	}
}

static void qemu_accepts_version_2_and_extended_l2_and_zstd(void **state)
{
	struct builder_options v2 = small(2, 12, 4, false);
	struct builder_options extended = small(3, 14, 4, true);
	struct builder_options zstd = small(3, 16, 4, false);
	struct builder_options short_header = small(3, 12, 4, false);

	(void)state;
	need_referee();
	zstd.compression = QC_COMPRESSION_ZSTD;
	short_header.header_bytes = QC_HEADER_BYTES_V3_MIN;
	assert_referee_accepts(&v2);
	assert_referee_accepts(&extended);
	assert_referee_accepts(&zstd);
	assert_referee_accepts(&short_header);
}

static void the_referee_sees_an_edit(void **state)
{
	char path[] = "/tmp/qcow-built-XXXXXX";
	char command[128];
	struct builder_options o = small(3, 12, 4, false);
	struct builder *b = built(&o);
	int fd, status;

	(void)state;
	need_referee();
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	builder_poke_refcount(b, builder_host_of(b, 0) >> 12, 9);
	builder_write_file(b, path);
	snprintf(command, sizeof(command), "qemu-img check -q -f qcow2 %s >/dev/null 2>&1", path);
	status = system(command); /* NOLINT: a referee, with a path of our own */
	unlink(path);
	builder_free(b);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3); /* leaks only */
}

static void decoders_find_nothing_wrong(void **state)
{
	struct builder_options o = small(3, 12, 4, false);
	struct builder *b;
	struct found found;
	struct qc_finding_sink sink = found_sink(&found);
	struct qc_header header;
	struct qc_extensions extensions;
	struct qc_snapshots snapshots;
	struct qc_bitmaps bitmaps;
	struct qc_err err;
	uint64_t needed;
	uint8_t *bytes;
	size_t length;

	(void)state;
	o.backing_name = "base.img";
	o.backing_format = "raw";
	b = builder_new(&o);
	fill(b, &o);
	builder_finish(b, &bytes, &length);
	assert_int_equal(qc_header_decode(bytes, length, &sink, &header, &err), 0);
	assert_int_equal(qc_extensions_decode(&header, bytes, length, &sink, &extensions, &err), 0);
	assert_string_equal(extensions.backing_format, "raw");
	assert_memory_equal(bytes + header.backing_name.byte, "base.img",
			    header.backing_name_bytes);
	assert_int_equal(qc_snapshots_decode(builder_geometry(b),
					     bytes + header.snapshot_table.byte,
					     (size_t)(length - header.snapshot_table.byte),
					     header.snapshots, &sink, &snapshots, &needed, &err),
			 0);
	assert_int_equal(snapshots.count, 2);
	assert_string_equal(snapshots.list[1].name, "second");
	assert_int_equal(builder_snapshot_entry_at(b, 1),
			 header.snapshot_table.byte + needed - 40 - 24 - 1 - 6);
	assert_true(extensions.has_bitmaps);
	assert_int_equal(qc_bitmaps_decode(bytes + extensions.bitmap_directory.byte,
					   (size_t)extensions.bitmap_directory_bytes,
					   extensions.bitmaps, &sink, &bitmaps, &err),
			 0);
	assert_string_equal(bitmaps.list[0].name, "dirty");
	assert_int_equal(found.total, 0);
	qc_bitmaps_clear(&bitmaps);
	qc_snapshots_clear(&snapshots);
	qc_extensions_clear(&extensions);
	builder_free(b);
}

static void places_are_where_their_names_say(void **state)
{
	struct builder_options o = small(3, 12, 1, false);
	struct builder *b = builder_new(&o);
	struct qc_l2_entry entry;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_data(b, 5, pattern(b, 5));
	builder_compressed_at(b, 6, pattern(b, 6), 4095);
	builder_snapshot(b, "1", "one");
	builder_data(b, 5, pattern(b, 50));
	builder_finish(b, &bytes, &length);
	assert_memory_equal(bytes + builder_host_of(b, 5), pattern(b, 50), 4096);
	assert_int_not_equal(builder_snapshot_l2_entry_at(b, 0, 5), builder_l2_entry_at(b, 5));
	/* The snapshot's copy is not shared any more, but COPIED stays out of its tables. */
	assert_int_equal(builder_peek64(b, builder_snapshot_l2_entry_at(b, 0, 5)) & QC_L2_COPIED,
			 0);
	assert_true(builder_peek64(b, builder_l2_entry_at(b, 5)) & QC_L2_COPIED);
	qc_l2_decode(builder_geometry(b),
		     (struct qc_l2_words){.entry = builder_peek64(b, builder_l2_entry_at(b, 6))},
		     &entry);
	assert_true(entry.compressed);
	assert_int_equal(entry.host.byte % 4096, 4095);
	assert_int_equal(builder_refcount(b, entry.host.byte / 4096), 2);
	assert_int_equal(builder_refcount(b, entry.host.byte / 4096 + 1), 2);
	assert_int_equal(builder_refcount(b, 0), 1);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qemu_accepts_every_cluster_size),
		cmocka_unit_test(qemu_accepts_every_refcount_width),
		cmocka_unit_test(qemu_accepts_version_2_and_extended_l2_and_zstd),
		cmocka_unit_test(the_referee_sees_an_edit),
		cmocka_unit_test(decoders_find_nothing_wrong),
		cmocka_unit_test(places_are_where_their_names_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
