// SPDX-License-Identifier: MIT
/* Another backing file: how sector 0 is laid out for it, and how the transaction gets there. */
#include "unit/txn/fixture.h"

#include <errno.h>

#include "txn/stage_header.h"

#define UNKNOWN_EXTENSION 0x12345678u

static char long_name[1100];

static const char *name_of(size_t length)
{
	memset(long_name, 'n', length);
	long_name[length] = '\0';
	return long_name;
}

/* --- what an image says after it was rebased --- */

static void assert_backing(struct qc_file *file, const char *name, const char *format)
{
	struct qc_image *image;
	struct qc_err err;

	if (qc_image_open(file, NULL, &image, &err) < 0)
		fail_msg("%s", err.text);
	if (name)
		assert_string_equal(image->backing_name, name);
	else
		assert_null(image->backing_name);
	if (name)
		assert_string_equal(image->extensions.backing_format, format);
	qc_image_close(image);
}

static const struct qc_extension *find(const struct qc_image *image, uint32_t type)
{
	for (size_t i = 0; i < image->extensions.count; i++)
		if (image->extensions.list[i].type == type)
			return &image->extensions.list[i];
	return NULL;
}

static void assert_extension(struct qc_file *mem, uint32_t type, const void *payload,
			     uint32_t bytes)
{
	const struct qc_extension *found;
	struct qc_image *image;
	struct qc_err err;

	assert_int_equal(qc_image_open(mem, NULL, &image, &err), 0);
	found = find(image, type);
	if (!payload) {
		assert_null(found);
	} else {
		assert_non_null(found);
		assert_int_equal(found->bytes, bytes);
		assert_memory_equal(qc_file_mem_bytes(mem) + found->offset, payload, bytes);
	}
	qc_image_close(image);
}

/* --- rigs --- */

struct kind {
	const char *label;
	uint32_t version, cluster_bits;
	const char *name, *format; /* before */
};

static const struct kind kinds[] = {
	{"version 3, 512-byte clusters", 3, 9, "old.qcow2", "qcow2"},
	{"version 2, 512-byte clusters", 2, 9, "old.raw", "raw"},
	{"version 3, no backing file", 3, 9, NULL, NULL},
	{"version 3, 4 KiB clusters", 3, 12, "old.qcow2", "qcow2"},
	{"version 2, 64 KiB clusters, no format", 2, 16, "old", NULL},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static struct builder *build(const struct kind *k)
{
	struct builder_options o = builder_defaults();

	o.version = k->version;
	o.cluster_bits = k->cluster_bits;
	o.refcount_order = 4;
	o.disk_bytes = UINT64_C(8) << k->cluster_bits;
	o.backing_name = k->name;
	o.backing_format = k->format;
	return builder_new(&o);
}

/* One commit that changes the backing file and nothing else. */
static void set_backing_well(struct rig *r, const char *name, const char *format)
{
	rig_must(r, qc_txn_set_backing(r->txn, name, format, &r->err));
	rig_commit(r);
	assert_true(r->report.changed);
	assert_sound(r->mem);
	assert_backing(r->mem, name, format);
}

static int set_backing_on(struct rig *r, const char *name, const char *format)
{
	return rig_end(r, qc_txn_set_backing(r->txn, name, format, &r->err));
}

static size_t longest_in_sector(const struct kind *k)
{
	/* Fields, the format's extension, the end mark. */
	return QC_SECTOR_BYTES - (k->version == 2 ? 72 : 112) - 16 - 8;
}

/* --- tests --- */

static void every_name_that_fits_is_switched_to_in_one_sector(void **state)
{
	(void)state;
	for (size_t i = 0; i < KIND_COUNT; i++) {
		const size_t lengths[] = {1, 17, 200, longest_in_sector(&kinds[i])};

		for (size_t j = 0; j < 4; j++) {
			struct builder *b = build(&kinds[i]);
			struct rig r;

			rig_begin_well(&r, b, false);
			set_backing_well(&r, name_of(lengths[j]), "raw");
			assert_int_equal(guard_flips(r.guard), 1);
			rig_close(&r);
			builder_free(b);
		}
	}
}

static void a_backing_file_can_go(void **state)
{
	(void)state;
	for (size_t i = 0; i < KIND_COUNT; i++) {
		struct builder *b = build(&kinds[i]);
		struct rig r;

		rig_begin_well(&r, b, false);
		if (kinds[i].name) {
			set_backing_well(&r, NULL, NULL);
			assert_extension(r.mem, QC_EXTENSION_BACKING_FORMAT, NULL, 0);
		} else {
			rig_must(&r, set_backing_on(&r, NULL, NULL));
			assert_false(r.report.changed);
			assert_int_equal(guard_flips(r.guard), 0);
		}
		rig_close(&r);
		builder_free(b);
	}
}

static void a_long_name_goes_behind_sector_0_beside_the_one_before(void **state)
{
	const size_t lengths[] = {1023, 500, 1023, 417, 1023};

	(void)state;
	for (size_t i = 3; i < KIND_COUNT; i++) {
		struct builder *b = build(&kinds[i]);
		struct rig r;

		rig_begin_well(&r, b, false);
		for (size_t j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
			if (j > 0)
				rig_again(&r, false);
			set_backing_well(&r, name_of(lengths[j]), j % 2 ? "raw" : "qcow2");
		}
		rig_close(&r);
		builder_free(b);
	}
}

static void a_name_without_room_is_refused_and_every_byte_stays(void **state)
{
	(void)state;
	for (size_t i = 0; i < KIND_COUNT; i++) {
		bool small = kinds[i].cluster_bits == 9;
		struct builder *b = build(&kinds[i]);
		uint8_t *bytes;
		size_t length;
		struct rig r;

		builder_finish(b, &bytes, &length);
		rig_open(&r, bytes, length, NULL);
		rig_again(&r, false);
		assert_int_equal(
			set_backing_on(&r, name_of(small ? longest_in_sector(&kinds[i]) + 1 : 1024),
				       "raw"),
			small ? -QC_E_NO_SPACE : -QC_E_ARGUMENT);
		assert_true(same_file(r.mem, bytes, length));
		rig_again(&r, false);
		assert_int_equal(set_backing_on(&r, "a", "sixteen-letters!"), -QC_E_ARGUMENT);
		assert_true(same_file(r.mem, bytes, length));
		rig_close(&r);
		builder_free(b);
	}
}

static void the_same_name_again_changes_nothing(void **state)
{
	struct builder *b = build(&kinds[0]);
	struct rig r;

	(void)state;
	rig_begin_well(&r, b, false);
	rig_must(&r, set_backing_on(&r, "old.qcow2", "qcow2"));
	assert_false(r.report.changed);
	assert_int_equal(guard_flips(r.guard), 0);
	rig_close(&r);
	builder_free(b);
}

static void unknown_extensions_survive_byte_for_byte(void **state)
{
	struct builder *b = build(&kinds[3]);
	uint8_t first[37], second[8];
	struct rig r;

	(void)state;
	fill_noise(first, sizeof(first), 1);
	fill_noise(second, sizeof(second), 2);
	builder_extension(b, UNKNOWN_EXTENSION, first, sizeof(first));
	builder_extension(b, UNKNOWN_EXTENSION + 1, second, sizeof(second));
	rig_begin_well(&r, b, false);
	set_backing_well(&r, "raw", "raw");
	assert_extension(r.mem, UNKNOWN_EXTENSION, first, sizeof(first));
	assert_extension(r.mem, UNKNOWN_EXTENSION + 1, second, sizeof(second));
	rig_again(&r, false);
	set_backing_well(&r, name_of(700), "qcow2");
	rig_again(&r, false);
	set_backing_well(&r, NULL, NULL);
	assert_extension(r.mem, UNKNOWN_EXTENSION, first, sizeof(first));
	assert_extension(r.mem, UNKNOWN_EXTENSION + 1, second, sizeof(second));
	rig_close(&r);
	builder_free(b);
}

static void the_feature_name_table_goes_only_if_room_is_short(void **state)
{
	uint8_t table[48 * 7];

	(void)state;
	for (int longer = 0; longer < 2; longer++) {
		struct builder *b = build(&kinds[3]);
		struct rig r;

		memset(table, 0, sizeof(table));
		builder_extension(b, QC_EXTENSION_FEATURE_NAMES, table, sizeof(table));
		rig_begin_well(&r, b, false);
		set_backing_well(&r, name_of(longer ? 33 : 32), "raw");
		assert_extension(r.mem, QC_EXTENSION_FEATURE_NAMES, longer ? NULL : table,
				 sizeof(table));
		rig_close(&r);
		builder_free(b);
	}
}

/* The name is then all that can change, and the format if its name is as long. */
static void extensions_beyond_sector_0_stay_where_they_are(void **state)
{
	struct builder *b = build(&kinds[3]);
	uint8_t big[1000];
	struct rig r;

	(void)state;
	fill_noise(big, sizeof(big), 3);
	builder_extension(b, UNKNOWN_EXTENSION, big, sizeof(big));
	rig_begin_well(&r, b, false);
	set_backing_well(&r, "another", "raw");
	assert_extension(r.mem, UNKNOWN_EXTENSION, big, sizeof(big));
	rig_again(&r, false);
	set_backing_well(&r, name_of(1023), "qcow2");
	assert_extension(r.mem, UNKNOWN_EXTENSION, big, sizeof(big));
	rig_again(&r, false);
	set_backing_well(&r, NULL, NULL);
	assert_extension(r.mem, UNKNOWN_EXTENSION, big, sizeof(big));
	rig_again(&r, false);
	set_backing_well(&r, "again", "raw");
	assert_extension(r.mem, UNKNOWN_EXTENSION, big, sizeof(big));
	rig_close(&r);
	builder_free(b);
}

static void extensions_beyond_sector_0_leave_no_room_for_a_format(void **state)
{
	struct kind k = kinds[3];
	uint8_t big[1000] = {0};
	uint8_t *bytes;
	struct builder *b;
	size_t length;
	struct rig r;

	(void)state;
	k.name = k.format = NULL;
	b = build(&k);
	builder_extension(b, UNKNOWN_EXTENSION, big, sizeof(big));
	builder_finish(b, &bytes, &length);
	rig_open(&r, bytes, length, NULL);
	rig_again(&r, false);
	assert_int_equal(set_backing_on(&r, "a", "raw"), -QC_E_NO_SPACE);
	assert_true(same_file(r.mem, bytes, length));
	rig_close(&r);
	builder_free(b);
}

/* Name and data change together, or not at all, whichever call fails. */
static void a_call_that_fails_leaves_the_old_or_the_new_base(void **state)
{
	const uint8_t *data = filled(0x5a);
	const char *name = name_of(1000);

	(void)state;
	for (int sticky = 0; sticky < 2; sticky++) {
		struct builder *b = build(&kinds[3]);
		bool happened = true;
		uint8_t *bytes;
		size_t length;

		builder_finish(b, &bytes, &length);
		for (uint64_t at = 0; happened; at++) {
			struct fault_plan plan = {.calls = FAULT_ALL,
						  .at = at,
						  .os_errno = EIO,
						  .sticky = sticky};
			struct rig r;
			int status;

			rig_open(&r, bytes, length, &plan);
			status = rig_begin(&r, NULL, false);
			if (status == 0)
				status = qc_txn_write(r.txn, qc_guest(0), data, 4096, &r.err);
			if (status == 0)
				status = qc_txn_set_backing(r.txn, name, "raw", &r.err);
			status = r.txn ? rig_end(&r, status) : status;
			happened = fault_happened(r.fault);
			qc_image_close(r.image);
			if (status == 0) {
				assert_backing(r.mem, name, "raw");
				assert_guest(r.mem, 0, data, 4096);
			} else if (status != -QC_E_OUTCOME_UNKNOWN) {
				assert_backing(r.mem, "old.qcow2", "qcow2");
				assert_true(sticky || same_file(r.mem, bytes, length));
			}
			settle_well(r.mem);
			assert_sound(r.mem);
			rig_close(&r);
			assert_true(at < 500);
		}
		builder_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_that_fits_is_switched_to_in_one_sector),
		cmocka_unit_test(a_backing_file_can_go),
		cmocka_unit_test(a_long_name_goes_behind_sector_0_beside_the_one_before),
		cmocka_unit_test(a_name_without_room_is_refused_and_every_byte_stays),
		cmocka_unit_test(the_same_name_again_changes_nothing),
		cmocka_unit_test(unknown_extensions_survive_byte_for_byte),
		cmocka_unit_test(the_feature_name_table_goes_only_if_room_is_short),
		cmocka_unit_test(extensions_beyond_sector_0_stay_where_they_are),
		cmocka_unit_test(extensions_beyond_sector_0_leave_no_room_for_a_format),
		cmocka_unit_test(a_call_that_fails_leaves_the_old_or_the_new_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
