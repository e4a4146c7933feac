// SPDX-License-Identifier: MIT
/*
 * Where the corpus began: `make_seeds FOLDER` writes the first inputs of each target to
 * FOLDER/<target>/. Images have the smallest clusters that their features allow.
 */
#include <sys/stat.h>
#include <xxhash.h>

#include "format/bitmap_directory.h"
#include "format/header_extensions.h"
#include "format/journal_record.h"
#include "fuzz/fuzz.h"
#include "support/image_builder.h"

#define EDIT_PREFIX_BYTES 32

static const char *folder;
static unsigned int number;

static void put(const char *target, const void *head, size_t head_bytes, const void *bytes,
		size_t length)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, target);
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s/seed-%02u", folder, target, number++);
	file = fopen(path, "wb");
	FUZZ_MUST(file != NULL);
	FUZZ_MUST(head_bytes == 0 || fwrite(head, 1, head_bytes, file) == head_bytes);
	FUZZ_MUST(fwrite(bytes, 1, length, file) == length);
	FUZZ_MUST(fclose(file) == 0);
}

/* The first edit is of that kind; a write and a discard follow. */
static void put_transaction(uint8_t kind, const uint8_t *bytes, size_t length)
{
	const uint8_t edits[EDIT_PREFIX_BYTES] = {kind, 0, 0, 0, 0x12, 0, 0x07, 0,
						  1,	0, 0, 0, 0x01, 0, 0x00, 0x80,
						  3,	2, 0, 0, 0x08, 0, 0x02, 0};

	put("transaction", edits, sizeof(edits), bytes, length);
}

static struct builder_options small(void)
{
	struct builder_options options = builder_defaults();

	options.cluster_bits = 9;
	options.disk_bytes = 128 << 10;
	return options;
}

static void fill(uint8_t *cluster, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		cluster[i] = (uint8_t)(i / 16);
}

/* Clusters of all kinds that the options have. */
static void put_clusters(struct builder *b, const struct builder_options *options)
{
	uint8_t cluster[1 << 14];

	fill(cluster, sizeof(cluster));
	builder_data(b, 0, cluster);
	builder_data(b, 1, cluster);
	if (options->extended_l2)
		builder_subclusters(b, 3, cluster, 0xff, 0xff00);
	else if (options->version == 3)
		builder_zero_alloc(b, 3);
	if (options->version == 3)
		builder_zero(b, 4);
	builder_compressed(b, 5, cluster);
	builder_compressed(b, 6, cluster);
}

static void put_image(const struct builder_options *options, bool snapshot, bool bitmap,
		      uint8_t edit)
{
	struct builder *b = builder_new(options);
	uint8_t cluster[1 << 14];
	uint8_t *bytes;
	size_t length;

	put_clusters(b, options);
	if (snapshot) {
		builder_snapshot(b, "1", "first");
		fill(cluster, sizeof(cluster));
		builder_data(b, 1, cluster);
	}
	if (bitmap)
		builder_bitmap(b, "bits", 16, QC_BITMAP_AUTO);
	builder_extension(b, 0x12345678, "unknown", 7);
	builder_finish(b, &bytes, &length);
	put("image", NULL, 0, bytes, length);
	put("header", NULL, 0, bytes, 512);
	put_transaction(edit, bytes, length);
	builder_free(b);
}

static void put_images(void)
{
	struct builder_options options = small();

	put_image(&options, false, false, 1);
	put_image(&options, true, true, 1);
	for (uint8_t kind = 2; kind <= 8; kind++)
		put_image(&options, kind >= 5, false, kind);
	options.version = 2;
	put_image(&options, true, false, 2);
	options = small();
	options.compression = QC_COMPRESSION_ZSTD;
	options.refcount_order = 2;
	options.backing_name = "base.img";
	options.backing_format = "raw";
	put_image(&options, true, false, 5);
	options = small();
	options.extended_l2 = true;
	options.cluster_bits = 14;
	options.refcount_order = 6;
	put_image(&options, false, false, 3);
}

/* A segment behind an image, as a crash leaves it; `after` is what sector 0 was to become. */
static void put_journal(bool committed)
{
	const struct builder_options options = small();
	struct qc_journal_head head = {.cluster_bits = 9, .records = 2};
	const struct qc_journal_record records[] = {
		{.kind = QC_JOURNAL_L2,
		 .index = 0,
		 .old_host = {1024},
		 .new_host = {2048},
		 .length = 512,
		 .digest = 1},
		{.kind = QC_JOURNAL_FREED, .old_host = {1024}, .length = 512},
	};
	uint8_t segment[4096] = {0};
	struct qc_journal_trailer trailer = {0, sizeof(struct qc_disk_journal_head) + 96, 0};
	struct builder *b = builder_new(&options);
	uint8_t *bytes;
	size_t length;

	put_clusters(b, &options);
	builder_finish(b, &bytes, &length);
	head.file_bytes_before = head.file_bytes_after = length;
	memcpy(committed ? head.after : head.before, bytes, 512);
	memcpy(committed ? head.before : head.after, bytes, 512);
	(committed ? head.before : head.after)[0x1c] ^= 1;
	qc_journal_head_encode(&head, (void *)segment);
	for (size_t i = 0; i < 2; i++)
		qc_journal_record_encode(&records[i],
					 (void *)(segment + sizeof(struct qc_disk_journal_head)
						  + i * 48));
	trailer.segment_offset = length;
	trailer.segment_digest = XXH64(segment, trailer.segment_bytes, 0);
	qc_journal_trailer_encode(&trailer, (void *)(segment + 1536));
	put("journal", bytes, length, segment, 2048);
	builder_free(b);
}

static void put_tables(void)
{
	struct builder_options options = small();
	struct builder *b = builder_new(&options);
	uint8_t *bytes;
	size_t length;

	put_clusters(b, &options);
	builder_snapshot(b, "1", "first");
	builder_snapshot(b, "2", "second");
	builder_bitmap(b, "bits", 16, QC_BITMAP_AUTO);
	builder_bitmap(b, "more", 9, QC_BITMAP_IN_USE);
	builder_finish(b, &bytes, &length);
	put("snapshot_table", "\0\0\2", 3, bytes + builder_snapshot_entry_at(b, 0), 256);
	put("bitmap_directory", "\0\2", 2, bytes + builder_bitmap_at(b), 64);
	put("entries", "\0\0", 2,
	    bytes + (builder_peek64(b, builder_l1_entry_at(b, 0)) & 0xffffffffffff), 512);
	put("entries", "\7\2", 2,
	    bytes + (builder_peek64(b, builder_l1_entry_at(b, 0)) & 0xffffffffffff), 512);
	builder_free(b);
}

static void put_scripts(void)
{
	static const char *const scripts[] = {
		"at 0x1be hex 80 01 01 00\n",
		"at 4k text \"two words\\n\\x41\"\nexpect 00 11\nzero 1M\ndiscard 64k\n",
		"fill 0xff:4096 fill 1:0x10 # done\ntext the rest of the line\n",
		"file absent\nat 8E zero 8E\n",
	};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		put("patch_script", NULL, 0, scripts[i], strlen(scripts[i]));
}

int main(int argc, char **argv)
{
	FUZZ_MUST(argc == 2);
	folder = argv[1];
	mkdir(folder, 0777);
	put_images();
	put_journal(false);
	put_journal(true);
	put_tables();
	put_scripts();
	return 0;
}
