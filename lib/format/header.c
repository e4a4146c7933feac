// SPDX-License-Identifier: MIT
#include "format/header.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "format/limits.h"

#define COMPRESSION_TYPE_AT offsetof(struct qc_disk_header, compression_type)
#define OFFSET_END ((uint64_t)INT64_MAX)

static int check_magic(const uint8_t *bytes, size_t length, struct qc_err *err)
{
	uint32_t version;

	if (length < 8 || qc_load_be32(bytes) != QC_MAGIC)
		return qc_fail(err, QC_E_FORMAT,
			       "not a qcow2 image; qemu-img info tells what it is");
	version = qc_load_be32(bytes + 4);
	if (version == 1)
		return qc_fail(err, QC_E_UNSUPPORTED,
			       "qcow version 1 is not supported; convert it first: "
			       "qemu-img convert -f qcow -O qcow2 OLD NEW");
	if (version != 2 && version != 3)
		return qc_fail(err, QC_E_UNSUPPORTED, "qcow2 version %" PRIu32 " is not supported",
			       version);
	if (length < (version == 2 ? QC_HEADER_BYTES_V2 : QC_HEADER_BYTES_V3_MIN))
		return qc_fail(err, QC_E_FORMAT, "the file ends inside the header");
	return 0;
}

static void take_common_fields(const struct qc_disk_header *disk, struct qc_header *header)
{
	*header = (struct qc_header){
		.version = qc_be32_get(disk->version),
		.cluster_bits = qc_be32_get(disk->cluster_bits),
		.disk_bytes = qc_be64_get(disk->size),
		.crypt_method = qc_be32_get(disk->crypt_method),
		.l1_entries = qc_be32_get(disk->l1_size),
		.l1 = qc_host(qc_be64_get(disk->l1_table_offset)),
		.refcount_table = qc_host(qc_be64_get(disk->refcount_table_offset)),
		.refcount_table_clusters = qc_be32_get(disk->refcount_table_clusters),
		.snapshots = qc_be32_get(disk->nb_snapshots),
		.snapshot_table = qc_host(qc_be64_get(disk->snapshots_offset)),
		.backing_name = qc_host(qc_be64_get(disk->backing_file_offset)),
		.backing_name_bytes = qc_be32_get(disk->backing_file_size),
		.refcount_order = QC_REFCOUNT_ORDER_V2,
		.header_bytes = QC_HEADER_BYTES_V2,
	};
}

/* False if the file ends before a field that the header says it has. */
static bool take_version_3_fields(const struct qc_disk_header *disk, size_t length,
				  struct qc_header *header)
{
	header->incompatible = qc_be64_get(disk->incompatible_features);
	header->compatible = qc_be64_get(disk->compatible_features);
	header->autoclear = qc_be64_get(disk->autoclear_features);
	header->refcount_order = qc_be32_get(disk->refcount_order);
	header->header_bytes = qc_be32_get(disk->header_length);
	if (header->header_bytes <= COMPRESSION_TYPE_AT)
		return true;
	header->compression = disk->compression_type;
	return length > COMPRESSION_TYPE_AT;
}

static void check_length(const struct qc_header *h, const struct qc_finding_sink *to)
{
	uint64_t cluster_bytes = UINT64_C(1) << h->cluster_bits;

	if (h->version == 3 && h->header_bytes < QC_HEADER_BYTES_V3_MIN)
		qc_report(to, QC_FINDING_HEADER_LENGTH,
			  "header length %" PRIu32 " is below the minimum of %u bytes",
			  h->header_bytes, QC_HEADER_BYTES_V3_MIN);
	if (h->header_bytes > cluster_bytes)
		qc_report(to, QC_FINDING_HEADER_LENGTH,
			  "header length %" PRIu32 " is more than a cluster of %" PRIu64 " bytes",
			  h->header_bytes, cluster_bytes);
}

static void check_unknown_features(const struct qc_header *h, const struct qc_finding_sink *to)
{
	uint64_t unknown = h->incompatible & ~QC_INCOMPAT_KNOWN;
	char list[64 * 4 + 1] = "";
	size_t used = 0;

	if (unknown == 0)
		return;
	for (unsigned int bit = 0; bit < 64; bit++)
		if (unknown >> bit & 1)
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%u",
						 used ? ", " : "", bit);
	qc_report(to, QC_FINDING_HEADER_UNKNOWN_INCOMPATIBLE, "unknown incompatible features: %s",
		  list);
}

static void check_compression(const struct qc_header *h, const struct qc_finding_sink *to)
{
	bool flagged = (h->incompatible & QC_INCOMPAT_COMPRESSION) != 0;

	if (h->compression > QC_COMPRESSION_ZSTD)
		qc_report(to, QC_FINDING_HEADER_COMPRESSION_TYPE, "compression type %u is unknown",
			  h->compression);
	else if (flagged != (h->compression != QC_COMPRESSION_ZLIB))
		qc_report(to, QC_FINDING_HEADER_COMPRESSION_TYPE,
			  "compression type %u, but incompatible feature bit 3 is %s",
			  h->compression, flagged ? "set" : "not set");
}

static void check_features(const struct qc_header *h, const struct qc_finding_sink *to)
{
	check_unknown_features(h, to);
	check_compression(h, to);
	if ((h->incompatible & QC_INCOMPAT_EXTENDED_L2)
	    && h->cluster_bits < QC_CLUSTER_BITS_MIN_EXTENDED_L2)
		qc_report(to, QC_FINDING_HEADER_EXTENDED_L2_CLUSTER_SIZE,
			  "subclusters need clusters of 2^%u bytes, these have 2^%" PRIu32,
			  QC_CLUSTER_BITS_MIN_EXTENDED_L2, h->cluster_bits);
	if (h->crypt_method > QC_CRYPT_LUKS)
		qc_report(to, QC_FINDING_HEADER_CRYPT_METHOD,
			  "encryption method %" PRIu32 " is unknown", h->crypt_method);
	if ((h->autoclear & QC_AUTOCLEAR_DATA_RAW) && !(h->incompatible & QC_INCOMPAT_DATA_FILE))
		qc_report(to, QC_FINDING_HEADER_DATA_RAW,
			  "autoclear feature bit 1 is set without incompatible feature bit 2");
}

/*
 * A table must start at a cluster and end where signed offsets can reach. The header's own place is
 * taken; an empty table may say 0.
 */
static void check_place(const struct qc_header *h, struct qc_host at, uint64_t bytes,
			const char *name, enum qc_finding_id id, const struct qc_finding_sink *to)
{
	if (!qc_is_aligned(at.byte, UINT64_C(1) << h->cluster_bits))
		qc_report_at(to, id, at, "the %s at %" PRIu64 " is not aligned to a cluster", name,
			     at.byte);
	else if (!qc_range_fits(at.byte, bytes, OFFSET_END))
		qc_report_at(to, id, at, "the %s at %" PRIu64 " ends beyond every file", name,
			     at.byte);
	else if (qc_host_is_none(at) && bytes > 0)
		qc_report_at(to, id, at, "the %s lies on the header", name);
}

static void check_disk_and_l1(const struct qc_header *h, const struct qc_finding_sink *to)
{
	struct qc_geometry g;
	uint64_t needed;

	qc_header_geometry(h, &g);
	needed = qc_l1_entries_for(&g, h->disk_bytes);
	if (h->disk_bytes > QC_DISK_BYTES_MAX || needed > INT32_MAX)
		qc_report(to, QC_FINDING_HEADER_DISK_SIZE,
			  "a disk of %" PRIu64 " bytes is larger than the format can map",
			  h->disk_bytes);
	else if (h->l1_entries < needed)
		qc_report(to, QC_FINDING_HEADER_L1_SIZE,
			  "the L1 table has %" PRIu32 " entries, the disk needs %" PRIu64,
			  h->l1_entries, needed);
	if (h->l1_entries > QC_L1_BYTES_MAX / sizeof(uint64_t))
		qc_report(to, QC_FINDING_HEADER_L1_SIZE,
			  "the L1 table has %" PRIu32 " entries, more than %zu", h->l1_entries,
			  QC_L1_BYTES_MAX / sizeof(uint64_t));
	check_place(h, h->l1, (uint64_t)h->l1_entries * sizeof(uint64_t), "L1 table",
		    QC_FINDING_HEADER_L1_PLACE, to);
}

static void check_refcount_table(const struct qc_header *h, const struct qc_finding_sink *to)
{
	uint64_t bytes = (uint64_t)h->refcount_table_clusters << h->cluster_bits;

	if (bytes == 0)
		qc_report(to, QC_FINDING_HEADER_REFCOUNT_TABLE_SIZE,
			  "the image has no refcount table");
	if (bytes > QC_REFCOUNT_TABLE_BYTES_MAX)
		qc_report(to, QC_FINDING_HEADER_REFCOUNT_TABLE_SIZE,
			  "the refcount table has %" PRIu64 " bytes, more than %u", bytes,
			  QC_REFCOUNT_TABLE_BYTES_MAX);
	check_place(h, h->refcount_table, bytes, "refcount table",
		    QC_FINDING_HEADER_REFCOUNT_TABLE_PLACE, to);
}

static void check_snapshots(const struct qc_header *h, const struct qc_finding_sink *to)
{
	uint64_t bytes_at_least = (uint64_t)h->snapshots * sizeof(struct qc_disk_snapshot);

	if (h->snapshots > QC_SNAPSHOTS_MAX)
		qc_report(to, QC_FINDING_HEADER_SNAPSHOT_COUNT,
			  "%" PRIu32 " snapshots, more than %u", h->snapshots, QC_SNAPSHOTS_MAX);
	check_place(h, h->snapshot_table, bytes_at_least, "snapshot table",
		    QC_FINDING_HEADER_SNAPSHOT_TABLE_PLACE, to);
}

static void check_backing_name(const struct qc_header *h, const struct qc_finding_sink *to)
{
	uint64_t cluster_bytes = UINT64_C(1) << h->cluster_bits;

	if (qc_host_is_none(h->backing_name))
		return;
	if (h->backing_name_bytes > QC_BACKING_NAME_BYTES_MAX)
		qc_report_at(to, QC_FINDING_HEADER_BACKING_NAME, h->backing_name,
			     "the backing file name has %" PRIu32 " bytes, more than %u",
			     h->backing_name_bytes, QC_BACKING_NAME_BYTES_MAX);
	else if (!qc_range_fits(h->backing_name.byte, h->backing_name_bytes, cluster_bytes))
		qc_report_at(to, QC_FINDING_HEADER_BACKING_NAME, h->backing_name,
			     "the backing file name at %" PRIu64 " ends outside cluster 0",
			     h->backing_name.byte);
	else if (h->backing_name.byte < h->header_bytes)
		qc_report_at(to, QC_FINDING_HEADER_BACKING_NAME, h->backing_name,
			     "the backing file name at %" PRIu64 " lies inside the header",
			     h->backing_name.byte);
}

int qc_header_decode(const uint8_t *bytes, size_t length, const struct qc_finding_sink *to,
		     struct qc_header *ret, struct qc_err *err)
{
	struct qc_disk_header disk = {0};
	struct qc_header header;
	int status;

	status = check_magic(bytes, length, err);
	if (status < 0)
		return status;
	memcpy(&disk, bytes, (size_t)qc_min(length, sizeof(disk)));
	take_common_fields(&disk, &header);
	if (header.version == 3 && !take_version_3_fields(&disk, length, &header))
		return qc_fail(err, QC_E_FORMAT, "the file ends inside the header");
	if (header.cluster_bits < QC_CLUSTER_BITS_MIN || header.cluster_bits > QC_CLUSTER_BITS_MAX)
		return qc_fail(err, QC_E_FORMAT, "clusters of 2^%" PRIu32 " bytes do not exist",
			       header.cluster_bits);
	if (header.refcount_order > QC_REFCOUNT_ORDER_MAX)
		return qc_fail(err, QC_E_FORMAT, "refcounts of 2^%" PRIu32 " bits do not exist",
			       header.refcount_order);
	check_length(&header, to);
	check_features(&header, to);
	check_disk_and_l1(&header, to);
	check_refcount_table(&header, to);
	check_snapshots(&header, to);
	check_backing_name(&header, to);
	*ret = header;
	return 0;
}

static void put_version_3_fields(const struct qc_header *header, struct qc_disk_header *disk)
{
	disk->incompatible_features = qc_be64_make(header->incompatible);
	disk->compatible_features = qc_be64_make(header->compatible);
	disk->autoclear_features = qc_be64_make(header->autoclear);
	disk->refcount_order = qc_be32_make(header->refcount_order);
	disk->header_length = qc_be32_make(header->header_bytes);
	disk->compression_type = header->compression;
}

void qc_header_encode(const struct qc_header *header, uint8_t *bytes)
{
	size_t known_bytes = (size_t)qc_min(header->header_bytes, QC_HEADER_BYTES_V3);
	struct qc_disk_header disk = {0};

	memcpy(&disk, bytes, known_bytes);
	disk.magic = qc_be32_make(QC_MAGIC);
	disk.version = qc_be32_make(header->version);
	disk.backing_file_offset = qc_be64_make(header->backing_name.byte);
	disk.backing_file_size = qc_be32_make(header->backing_name_bytes);
	disk.cluster_bits = qc_be32_make(header->cluster_bits);
	disk.size = qc_be64_make(header->disk_bytes);
	disk.crypt_method = qc_be32_make(header->crypt_method);
	disk.l1_size = qc_be32_make(header->l1_entries);
	disk.l1_table_offset = qc_be64_make(header->l1.byte);
	disk.refcount_table_offset = qc_be64_make(header->refcount_table.byte);
	disk.refcount_table_clusters = qc_be32_make(header->refcount_table_clusters);
	disk.nb_snapshots = qc_be32_make(header->snapshots);
	disk.snapshots_offset = qc_be64_make(header->snapshot_table.byte);
	if (header->version >= 3)
		put_version_3_fields(header, &disk);
	memcpy(bytes, &disk, known_bytes);
}

void qc_header_geometry(const struct qc_header *header, struct qc_geometry *ret)
{
	qc_geometry_init(ret, header->version, header->cluster_bits, header->refcount_order,
			 (header->incompatible & QC_INCOMPAT_EXTENDED_L2) != 0,
			 (header->incompatible & QC_INCOMPAT_DATA_FILE) != 0);
}
