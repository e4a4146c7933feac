// SPDX-License-Identifier: MIT
/* Each finding has an image that yields it, and nothing that does not follow from it. */
#include "unit/check/fixture.h"

#include "unit/check/damages.h"

#include "format/journal_record.h"

#include <xxhash.h>

#define IDS_MAX 4

struct damaged {
	const char *name;
	enum qc_finding_id ids[IDS_MAX]; /* the ones expected, and no others */
	unsigned int count;
	void (*damage)(struct builder *b);
	bool extended;
	bool bitmap; /* in use */
	bool bitmap_entry;
	bool snapshot;
	uint32_t refcount_order; /* 0: the default */
	uint64_t incompatible;
	bool version2, deep;
};

/* What any of these tests saw, so that none is forgotten. */
static bool seen[QC_FINDING_COUNT];

static void remember(const struct checked *checked)
{
	for (unsigned int id = 0; id < QC_FINDING_COUNT; id++)
		seen[id] |= checked->times[id] > 0;
}

#define ONE(id) {id}, 1
#define TWO(a, b) {a, b}, 2

static const struct damaged cases[] = {
	{"nothing", {0}, 0, .damage = nothing},
	{"leak", ONE(QC_FINDING_CLUSTER_LEAKED), .damage = leak},
	{"refcount too low", ONE(QC_FINDING_REFCOUNT_TOO_LOW), .damage = too_low},
	{"overflow", TWO(QC_FINDING_REFCOUNT_OVERFLOW, QC_FINDING_REFCOUNT_OVERFLOW),
	 .damage = too_low, .refcount_order = UINT32_MAX},
	{"past end", ONE(QC_FINDING_REFERENCE_PAST_END), .damage = past_end},
	{"copied L2", ONE(QC_FINDING_COPIED_L2_TABLE), .damage = l2_copied},
	{"copied data", ONE(QC_FINDING_COPIED_DATA), .damage = data_copied},
	{"copied compressed", ONE(QC_FINDING_COPIED_COMPRESSED), .damage = compressed_copied},
	{"L1 reserved", ONE(QC_FINDING_L1_RESERVED), .damage = l1_reserved},
	{"L2 reserved", ONE(QC_FINDING_L2_RESERVED), .damage = l2_reserved},
	{"L2 unaligned", TWO(QC_FINDING_L2_UNALIGNED, QC_FINDING_REFCOUNT_TOO_LOW),
	 .damage = l2_unaligned},
	{"L2 unaligned zero", TWO(QC_FINDING_L2_UNALIGNED_ZERO, QC_FINDING_REFCOUNT_TOO_LOW),
	 .damage = l2_unaligned_zero},
	{"compressed bitmap", TWO(QC_FINDING_L2_COMPRESSED_BITMAP, QC_FINDING_CLUSTER_LEAKED),
	 .damage = compressed_bitmap, .extended = true},
	{"bitmap both", ONE(QC_FINDING_L2_BITMAP_BOTH), .damage = bitmap_both, .extended = true},
	{"bitmap no host", ONE(QC_FINDING_L2_BITMAP_NO_HOST), .damage = bitmap_no_host,
	 .extended = true},
	{"snapshot incomplete", ONE(QC_FINDING_SNAPSHOT_INCOMPLETE), .damage = snapshot_incomplete,
	 .snapshot = true},
	{"snapshot place", TWO(QC_FINDING_SNAPSHOT_L1_PLACE, QC_FINDING_CLUSTER_LEAKED),
	 .damage = snapshot_place, .snapshot = true},
	{"snapshot size", TWO(QC_FINDING_SNAPSHOT_L1_SIZE, QC_FINDING_CLUSTER_LEAKED),
	 .damage = snapshot_size, .snapshot = true},
	{"table reserved", TWO(QC_FINDING_REFCOUNT_TABLE_RESERVED, QC_FINDING_CLUSTER_LEAKED),
	 .damage = table_reserved},
	{"block outside", ONE(QC_FINDING_REFCOUNT_BLOCK_OUTSIDE), .damage = block_outside},
	{"block unaligned", ONE(QC_FINDING_REFCOUNT_BLOCK_UNALIGNED), .damage = block_unaligned},
	{"block unreadable",
	 TWO(QC_FINDING_REFCOUNT_BLOCK_UNALIGNED, QC_FINDING_REFCOUNT_BLOCK_UNREADABLE),
	 .damage = block_unreadable},
	{"block shared", TWO(QC_FINDING_REFCOUNT_BLOCK_SHARED, QC_FINDING_REFCOUNT_TOO_LOW),
	 .damage = block_shared},
	{"external", TWO(QC_FINDING_L2_COMPRESSED_EXTERNAL, QC_FINDING_CLUSTER_LEAKED),
	 .damage = make_external},
	{"snapshot external",
	 {QC_FINDING_SNAPSHOT_EXTERNAL_DATA, QC_FINDING_L2_COMPRESSED_EXTERNAL,
	  QC_FINDING_CLUSTER_LEAKED, QC_FINDING_COPIED_DATA},
	 4,
	 .damage = make_external,
	 .snapshot = true},
	{"bitmap entry", ONE(QC_FINDING_BITMAP_TABLE_ENTRY), .damage = bitmap_entry,
	 .bitmap_entry = true},
	{"dirty", ONE(QC_FINDING_DIRTY), .damage = nothing, .incompatible = QC_INCOMPAT_DIRTY},
	{"corrupt", ONE(QC_FINDING_CORRUPT), .damage = nothing,
	 .incompatible = QC_INCOMPAT_CORRUPT},
	{"bitmap in use", ONE(QC_FINDING_BITMAP_IN_USE), .damage = nothing, .bitmap = true},
	{"bitmaps stale", TWO(QC_FINDING_BITMAPS_STALE, QC_FINDING_CLUSTER_LEAKED),
	 .damage = bitmaps_stale, .bitmap_entry = true},
	{"bitmap malformed", ONE(QC_FINDING_BITMAPS_MALFORMED), .damage = bitmap_granularity,
	 .bitmap_entry = true},
	{"extension too long", ONE(QC_FINDING_EXTENSION_MALFORMED), .damage = extension_long,
	 .bitmap_entry = true},
	{"snapshot malformed", ONE(QC_FINDING_SNAPSHOT_MALFORMED), .damage = snapshot_huge,
	 .snapshot = true},
	{"zero in version 2", ONE(QC_FINDING_L2_ZERO_IN_V2), .damage = zero_flag, .version2 = true},
	{"bit 0 of an extended entry", ONE(QC_FINDING_L2_RESERVED), .damage = zero_flag,
	 .extended = true},
	{"broken stream", ONE(QC_FINDING_COMPRESSED_BROKEN), .damage = stream_broken, .deep = true},
	{"overlapping streams", ONE(QC_FINDING_COMPRESSED_OVERLAP), .damage = stream_overlaps,
	 .deep = true},
	{"header length", ONE(QC_FINDING_HEADER_LENGTH), .damage = header_short},
	{"feature", ONE(QC_FINDING_HEADER_UNKNOWN_INCOMPATIBLE), .damage = unknown_feature},
	{"compression type", ONE(QC_FINDING_HEADER_COMPRESSION_TYPE), .damage = compression_unsaid},
	{"small extended", ONE(QC_FINDING_HEADER_EXTENDED_L2_CLUSTER_SIZE),
	 .damage = extended_small, .extended = true},
	{"crypt", ONE(QC_FINDING_HEADER_CRYPT_METHOD), .damage = crypt_unknown},
	{"raw", ONE(QC_FINDING_HEADER_DATA_RAW), .damage = raw_without_data_file},
	{"disk", ONE(QC_FINDING_HEADER_DISK_SIZE), .damage = disk_huge},
	{"L1 place", ONE(QC_FINDING_HEADER_L1_PLACE), .damage = l1_off},
	{"L1 size", ONE(QC_FINDING_HEADER_L1_SIZE), .damage = l1_small},
	{"refcount table place", ONE(QC_FINDING_HEADER_REFCOUNT_TABLE_PLACE),
	 .damage = refcounts_off},
	{"refcount table size",
	 {QC_FINDING_HEADER_REFCOUNT_TABLE_SIZE, QC_FINDING_REFCOUNT_TOO_LOW,
	  QC_FINDING_COPIED_L2_TABLE, QC_FINDING_COPIED_DATA},
	 4,
	 .damage = refcounts_none},
	{"snapshot table place", ONE(QC_FINDING_HEADER_SNAPSHOT_TABLE_PLACE),
	 .damage = snapshots_off, .snapshot = true},
	{"snapshot count", ONE(QC_FINDING_HEADER_SNAPSHOT_COUNT), .damage = snapshots_many,
	 .snapshot = true},
	{"backing name", ONE(QC_FINDING_HEADER_BACKING_NAME), .damage = backing_long},
};

static struct builder *build(const struct damaged *c)
{
	struct builder_options options = builder_defaults();
	static uint8_t cluster[1 << 14];
	struct builder *b;

	options.cluster_bits = 14;
	options.extended_l2 = c->extended;
	options.incompatible = c->incompatible;
	options.version = c->version2 ? 2 : 3;
	if (c->refcount_order)
		options.refcount_order = c->refcount_order == UINT32_MAX ? 0 : c->refcount_order;
	b = builder_new(&options);
	memset(cluster, 0x5a, sizeof(cluster));
	for (uint64_t i = 0; i < 4; i++)
		builder_data(b, i, cluster);
	builder_compressed(b, 8, cluster);
	if (c->bitmap)
		builder_bitmap(b, "b", 16, QC_BITMAP_IN_USE);
	if (c->bitmap_entry)
		builder_bitmap(b, "b", 16, 0);
	if (c->snapshot)
		builder_snapshot(b, "1", "s");
	return b;
}

static void expect(const struct damaged *c, const struct checked *checked)
{
	for (unsigned int id = 0; id < QC_FINDING_COUNT; id++) {
		bool expected = false;

		for (unsigned int i = 0; i < c->count; i++)
			expected |= c->ids[i] == id;
		if (expected != (checked->times[id] > 0))
			fail_msg("%s: finding %s %s", c->name,
				 qc_finding_kind((enum qc_finding_id)id)->id,
				 expected ? "is missing" : "came up");
	}
}

static void each_damage_yields_its_finding_and_what_follows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct builder *b = build(&cases[i]);
		struct checked checked;
		struct qc_err err;
		uint8_t *bytes;
		size_t length;

		builder_finish(b, &bytes, &length);
		cases[i].damage(b);
		assert_int_equal(check_how(bytes, length, cases[i].deep, &checked, &err), 0);
		remember(&checked);
		expect(&cases[i], &checked);
		builder_free(b);
	}
}

/* The header is read as a table, so more comes up; the finding itself is what counts. */
static void an_unaligned_l2_table_is_found(void **state)
{
	struct builder_options options = builder_defaults();
	struct checked checked;
	struct builder *b;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	options.l1_slack = 1;
	b = builder_new(&options);
	builder_finish(b, &bytes, &length);
	l1_unaligned(b);
	assert_int_equal(check_bytes(bytes, length, &checked, &err), 0);
	remember(&checked);
	assert_int_equal(checked.times[QC_FINDING_L1_UNALIGNED], 1);
	builder_free(b);
}

#define SEGMENT_BYTES sizeof(struct qc_disk_journal_head)

static void put_journal(uint8_t *end, uint64_t offset, bool intact)
{
	struct qc_journal_trailer trailer = {offset, SEGMENT_BYTES, 0};
	struct qc_disk_journal_trailer disk;

	memset(end, 0x77, SEGMENT_BYTES);
	trailer.segment_digest = XXH64(end, SEGMENT_BYTES, 0) ^ !intact;
	qc_journal_trailer_encode(&trailer, &disk);
	memcpy(end + SEGMENT_BYTES, &disk, sizeof(disk));
}

static void a_journal_is_noted_only_if_its_digest_holds(void **state)
{
	(void)state;
	for (int intact = 0; intact < 2; intact++) {
		struct builder *b = builder_new(NULL);
		struct checked checked;
		struct qc_err err;
		uint8_t *bytes, *longer;
		size_t length;

		builder_finish(b, &bytes, &length);
		longer = test_malloc(length + SEGMENT_BYTES + 512);
		memcpy(longer, bytes, length);
		put_journal(longer + length, length, intact);
		assert_int_equal(check_bytes(longer, length + SEGMENT_BYTES + 512, &checked, &err),
				 0);
		remember(&checked);
		assert_int_equal(checked.times[QC_FINDING_TRANSACTION_INTERRUPTED], intact);
		assert_int_equal(checked.result.corruptions + checked.result.leaks, 0);
		test_free(longer);
		builder_free(b);
	}
}

static void a_second_extension_of_a_kind_is_found(void **state)
{
	static const uint8_t payload[8];
	struct checked checked;
	struct builder *b;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	b = builder_new(NULL);
	builder_extension(b, QC_EXTENSION_BACKING_FORMAT, payload, 5);
	builder_extension(b, QC_EXTENSION_BACKING_FORMAT, payload, 5);
	builder_finish(b, &bytes, &length);
	assert_int_equal(check_bytes(bytes, length, &checked, &err), 0);
	remember(&checked);
	assert_int_equal(checked.times[QC_FINDING_EXTENSION_DUPLICATE], 1);
	assert_int_equal(checked.result.findings, 1);
	builder_free(b);
}

/* Run last. */
static void no_finding_is_without_an_image(void **state)
{
	(void)state;
	for (unsigned int id = 0; id < QC_FINDING_COUNT; id++)
		if (!seen[id])
			fail_msg("no image yields %s", qc_finding_kind((enum qc_finding_id)id)->id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_damage_yields_its_finding_and_what_follows),
		cmocka_unit_test(an_unaligned_l2_table_is_found),
		cmocka_unit_test(a_journal_is_noted_only_if_its_digest_holds),
		cmocka_unit_test(a_second_extension_of_a_kind_is_found),
		cmocka_unit_test(no_finding_is_without_an_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
