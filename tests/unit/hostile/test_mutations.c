// SPDX-License-Identifier: MIT
/*
 * Every single field of a rich image, set to every boundary value: nothing crashes, nothing is
 * changed by looking, and a transaction is refused or sound. The images are as small as the format
 * allows, so that all of them take seconds.
 */
#include "unit/hostile/hostile.h"

#define GUEST_CLUSTERS 16
#define READ_BYTES ((size_t)GUEST_CLUSTERS << 9)

static struct builder *rich_image(uint32_t version, uint32_t refcount_order)
{
	struct builder_options o = builder_defaults();
	struct builder *b;
	uint8_t bytes[512];

	o.version = version;
	o.cluster_bits = 9;
	o.refcount_order = refcount_order;
	o.disk_bytes = 2 * 64 << 9;
	o.l1_slack = 1;
	o.backing_name = "base.img";
	o.backing_format = "raw";
	b = builder_new(&o);
	memset(bytes, 0x5a, sizeof(bytes));
	builder_data(b, 0, bytes);
	builder_data(b, 1, bytes);
	builder_compressed(b, 2, bytes);
	builder_compressed(b, 3, bytes);
	if (version == 3)
		builder_zero_alloc(b, 4);
	builder_snapshot(b, "1", "first");
	builder_data(b, 1, bytes);
	builder_data(b, 70, bytes);
	if (version == 3)
		builder_bitmap(b, "bits", 9, 0);
	return b;
}

static void look_at(struct qc_image *image)
{
	struct qc_layer layer = {.path = (char *)"image",
				 .file = image->file,
				 .image = image,
				 .disk_bytes = image->header.disk_bytes};
	static uint8_t buffer[READ_BYTES];
	struct qc_chain_extent extent;
	struct qc_view view;
	struct qc_err err;

	qc_view_active(&layer, &view);
	for (uint64_t at = 0, i = 0; at < view.disk_bytes && i < 64; at += extent.bytes, i++)
		if (qc_chain_map(&view, qc_guest(at), view.disk_bytes - at, &extent, &err) < 0)
			break;
	if (qc_image_require_readable(image, &err) == 0)
		qc_read(&view, qc_guest(0), buffer, sizeof(buffer), &err);
	if (image->snapshots.count == 0
	    || qc_view_snapshot(&layer, &image->snapshots.list[0], &view, &err) < 0)
		return;
	qc_read(&view, qc_guest(0), buffer, sizeof(buffer), &err);
	qc_view_clear(&view);
}

static void look(struct qc_file *file)
{
	const struct qc_check_options options = {0};
	struct qc_check_result result;
	struct found found;
	struct qc_finding_sink sink = found_sink(&found);
	struct qc_image *image;
	struct qc_err err;

	if (qc_image_open(file, &sink, &image, &err) == 0) {
		look_at(image);
		qc_image_close(image);
	}
	qc_check_run(file, &options, &sink, &result, &err);
}

/* A part of a cluster, a whole one zeroed, and one where there was none. */
static bool edit(struct qc_file *file, struct qc_err *err)
{
	const struct qc_txn_options options = {0};
	static const uint8_t bytes[600] = {1, 2, 3};
	struct qc_file *guard = guard_file_open(file, file);
	struct qc_txn_report report;
	struct qc_image *image = NULL;
	struct qc_txn *txn;
	int status;

	status = qc_image_open(guard, NULL, &image, err);
	if (status == 0)
		status = qc_txn_begin(image, NULL, &options, &txn, err);
	if (status == 0) {
		if ((status = qc_txn_write(txn, qc_guest(500), bytes, sizeof(bytes), err)) < 0
		    || (status = qc_txn_zero(txn, qc_guest(4 << 9), 512, err)) < 0
		    || (status = qc_txn_write(txn, qc_guest(20 << 9), bytes, 100, err)) < 0)
			qc_txn_abort(txn);
		else
			status = qc_txn_commit(txn, &report, err);
	}
	qc_image_close(image);
	end_guard(guard);
	return status == 0;
}

static void try_image(const uint8_t *bytes, size_t length, uint64_t at, uint64_t value)
{
	struct qc_file *file;
	char why[512] = "";
	struct qc_err err;
	bool sound;

	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	look(file);
	assert_memory_equal(qc_file_mem_bytes(file), bytes, length);
	sound = edit(file, &err) ? soundness_after_commit(file, bytes, length, why, sizeof(why))
				 : soundness_after_refusal(file, bytes, length, why, sizeof(why));
	qc_file_close(file);
	if (!sound)
		fail_msg("offset %#llx = %#llx: %s", (unsigned long long)at,
			 (unsigned long long)value, why);
}

struct image {
	struct builder *b;
	uint8_t *bytes;
	size_t length;
};

static uint64_t load(const uint8_t *at, unsigned int bytes)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

static void store(uint8_t *at, unsigned int bytes, uint64_t value)
{
	for (unsigned int i = bytes; i-- > 0; value >>= 8)
		at[i] = (uint8_t)value;
}

/* One field of 1, 2, 4 or 8 bytes, with all values; what it was is put back. */
static void mutate(struct image *image, uint64_t at, unsigned int bytes)
{
	const uint64_t old = load(image->bytes + at, bytes), top = UINT64_C(1) << (8 * bytes - 1);
	const uint64_t values[] = {
		0,
		1,
		2,
		0x1ff,
		0x200,
		0x201,
		0x7fff,
		top - 1,
		top,
		top + 1,
		UINT64_MAX,
		UINT64_MAX - 1,
		old + 1,
		old - 1,
		old ^ 1,
		old ^ top,
		old ^ top >> 1,
		old + 512,
		old - 512,
		image->length,
		image->length - 512,
		UINT64_C(1) << 55,
		top - 512,
	};

	assert_true(at + bytes <= image->length);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		store(image->bytes + at, bytes, values[i]);
		try_image(image->bytes, image->length, at, values[i]);
	}
	store(image->bytes + at, bytes, old);
}

static struct image open_image(uint32_t version, uint32_t refcount_order)
{
	struct image image = {.b = rich_image(version, refcount_order)};

	builder_finish(image.b, &image.bytes, &image.length);
	return image;
}

static void every_field_of_the_header(void **state)
{
	static const uint8_t wide[] = {4, 4, 8, 4, 4, 8, 4, 4, 8, 8, 4, 4, 8, /* version 3: */
				       8, 8, 8, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1};

	(void)state;
	for (uint32_t version = 2; version <= 3; version++) {
		struct image image = open_image(version, 4);
		uint64_t at = 0;

		for (size_t i = 0; i < (version == 2 ? 13 : sizeof(wide)); at += wide[i++])
			mutate(&image, at, wide[i]);
		assert_int_equal(at, version == 2 ? QC_HEADER_BYTES_V2 : QC_HEADER_BYTES_V3);
		for (; at < QC_HEADER_BYTES_V3 + 56; at += 4) /* the extensions */
			mutate(&image, at, 4);
		builder_free(image.b);
	}
}

static void every_entry_of_the_l1_and_l2_tables(void **state)
{
	struct image image = open_image(3, 4);

	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		mutate(&image, builder_l1_entry_at(image.b, i), 8);
		mutate(&image, builder_snapshot_l1_entry_at(image.b, 0, i), 8);
	}
	for (uint64_t i = 0; i < 8; i++) {
		mutate(&image, builder_l2_entry_at(image.b, i), 8);
		mutate(&image, builder_snapshot_l2_entry_at(image.b, 0, i), 8);
	}
	mutate(&image, builder_l2_entry_at(image.b, 70), 8);
	builder_free(image.b);
}

static void every_refcount_of_every_width(void **state)
{
	(void)state;
	for (uint32_t order = 2; order <= 6; order++) {
		struct image image = open_image(3, order);
		unsigned int bytes = order < 3 ? 1 : 1u << (order - 3);
		uint64_t clusters = image.length >> 9;

		for (uint64_t i = 0; i < 4; i++)
			mutate(&image, builder_refcount_table_entry_at(image.b, i), 8);
		for (uint64_t i = 0; i < clusters << order >> 3; i += bytes)
			mutate(&image, builder_refcount_block_at(image.b, 0) + i % 512, bytes);
		builder_free(image.b);
	}
}

static void every_field_of_snapshots_and_bitmaps(void **state)
{
	static const uint8_t snapshot[] = {8, 4, 2, 2, 4, 4, 8, 4, 4, 8, 8, 8, 1, 1, 1};
	static const uint8_t bitmap[] = {8, 4, 4, 1, 1, 2, 4, 1};
	struct image image = open_image(3, 4);
	uint64_t at = builder_snapshot_entry_at(image.b, 0);

	(void)state;
	for (size_t i = 0; i < sizeof(snapshot); at += snapshot[i++])
		mutate(&image, at, snapshot[i]);
	at = builder_bitmap_at(image.b);
	mutate(&image, builder_bitmap_entry_at(image.b), 8);
	for (size_t i = 0; i < sizeof(bitmap); at += bitmap[i++])
		mutate(&image, at, bitmap[i]);
	builder_free(image.b);
}

/* Cut off anywhere: at each cluster, and at each byte of the header. */
static void every_length(void **state)
{
	struct image image = open_image(3, 4);

	(void)state;
	for (size_t length = 0; length < image.length; length += length < 128 ? 1 : 128) {
		uint8_t *exact = test_malloc(length + 1);

		memcpy(exact, image.bytes, length);
		try_image(exact, length, length, 0);
		test_free(exact);
	}
	builder_free(image.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_of_the_header),
		cmocka_unit_test(every_entry_of_the_l1_and_l2_tables),
		cmocka_unit_test(every_refcount_of_every_width),
		cmocka_unit_test(every_field_of_snapshots_and_bitmaps),
		cmocka_unit_test(every_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
