// SPDX-License-Identifier: MIT
#include "format/header_extensions.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"

#define EXTENSION_ALIGNMENT 8u
#define OFFSET_END ((uint64_t)INT64_MAX)

/* One walk over the extension area. */
struct area {
	const struct qc_header *header;
	const uint8_t *cluster0;
	uint64_t length; /* bytes of cluster0 at hand */
	uint64_t end;	 /* of the area: the backing file name, or the cluster's end */
	const struct qc_finding_sink *to;
	unsigned int seen; /* a bit for each known type */
};

static bool is_cluster_aligned(const struct area *area, uint64_t offset)
{
	return qc_is_aligned(offset, UINT64_C(1) << area->header->cluster_bits);
}

/* Bit number of a known type in area.seen; -1 for the others, which may occur at will. */
static int known_type(uint32_t type)
{
	switch (type) {
	case QC_EXTENSION_BACKING_FORMAT:
		return 0;
	case QC_EXTENSION_FEATURE_NAMES:
		return 1;
	case QC_EXTENSION_BITMAPS:
		return 2;
	case QC_EXTENSION_CRYPTO:
		return 3;
	case QC_EXTENSION_DATA_FILE:
		return 4;
	default:
		return -1;
	}
}

static bool malformed(const struct area *area, const struct qc_extension *ext, const char *why)
{
	qc_report_at(area->to, QC_FINDING_EXTENSION_MALFORMED, qc_host(ext->offset),
		     "header extension 0x%08" PRIx32 ": %s", ext->type, why);
	return false;
}

static bool is_duplicate(struct area *area, const struct qc_extension *ext)
{
	int known = known_type(ext->type);

	if (known < 0)
		return false;
	if (area->seen >> known & 1) {
		qc_report_at(area->to, QC_FINDING_EXTENSION_DUPLICATE, qc_host(ext->offset),
			     "header extension 0x%08" PRIx32 " occurs more than once", ext->type);
		return true;
	}
	area->seen |= 1u << known;
	return false;
}

static bool take_backing_format(const struct area *area, const struct qc_extension *ext,
				struct qc_extensions *ret)
{
	if (ext->bytes > QC_BACKING_FORMAT_BYTES_MAX)
		return malformed(area, ext, "the format's name is too long");
	memcpy(ret->backing_format, area->cluster0 + ext->offset, ext->bytes);
	ret->backing_format[ext->bytes] = '\0';
	return true;
}

static bool take_bitmaps(const struct area *area, const struct qc_extension *ext,
			 struct qc_extensions *ret)
{
	struct qc_disk_bitmaps_extension disk;
	uint64_t at, bytes;
	uint32_t count;

	if (ext->bytes != sizeof(disk))
		return malformed(area, ext, "wrong length for bitmaps");
	/* Without the bit, somebody who knows no bitmaps wrote to the disk: do not even look. */
	if (!(area->header->autoclear & QC_AUTOCLEAR_BITMAPS)) {
		qc_report_at(area->to, QC_FINDING_BITMAPS_STALE, qc_host(ext->offset),
			     "the image was written to by a program that does not keep bitmaps");
		return true;
	}
	memcpy(&disk, area->cluster0 + ext->offset, sizeof(disk));
	count = qc_be32_get(disk.nb_bitmaps);
	bytes = qc_be64_get(disk.bitmap_directory_size);
	at = qc_be64_get(disk.bitmap_directory_offset);
	if (qc_be32_get(disk.reserved) != 0)
		return malformed(area, ext, "reserved bits are set");
	if (count == 0 || count > QC_BITMAPS_MAX)
		return malformed(area, ext, "impossible number of bitmaps");
	if (bytes == 0 || bytes > QC_BITMAP_DIRECTORY_BYTES_MAX)
		return malformed(area, ext, "impossible size of the bitmap directory");
	if (at == 0 || !is_cluster_aligned(area, at) || !qc_range_fits(at, bytes, OFFSET_END))
		return malformed(area, ext, "impossible place of the bitmap directory");
	ret->has_bitmaps = true;
	ret->bitmaps = count;
	ret->bitmap_directory = qc_host(at);
	ret->bitmap_directory_bytes = bytes;
	return true;
}

static bool take_crypto(const struct area *area, const struct qc_extension *ext,
			struct qc_extensions *ret)
{
	struct qc_disk_crypto_extension disk;
	uint64_t at, bytes;

	if (area->header->crypt_method != QC_CRYPT_LUKS)
		return malformed(area, ext, "an encryption header without LUKS encryption");
	if (ext->bytes != sizeof(disk))
		return malformed(area, ext, "wrong length for an encryption header");
	memcpy(&disk, area->cluster0 + ext->offset, sizeof(disk));
	at = qc_be64_get(disk.offset);
	bytes = qc_be64_get(disk.length);
	if (at == 0 || !is_cluster_aligned(area, at) || !qc_range_fits(at, bytes, OFFSET_END))
		return malformed(area, ext, "impossible place of the encryption header");
	ret->has_crypto = true;
	ret->crypto_header = qc_host(at);
	ret->crypto_header_bytes = bytes;
	return true;
}

/* Whether the extension is to be kept. */
static bool take_payload(struct area *area, const struct qc_extension *ext,
			 struct qc_extensions *ret)
{
	if (is_duplicate(area, ext))
		return false;
	switch (ext->type) {
	case QC_EXTENSION_BACKING_FORMAT:
		return take_backing_format(area, ext, ret);
	case QC_EXTENSION_BITMAPS:
		return take_bitmaps(area, ext, ret);
	case QC_EXTENSION_CRYPTO:
		return take_crypto(area, ext, ret);
	case QC_EXTENSION_FEATURE_NAMES:
		ret->has_feature_names = true;
		ret->feature_names_offset = ext->offset;
		ret->feature_names_bytes = ext->bytes;
		return true;
	case QC_EXTENSION_DATA_FILE:
		ret->has_data_file = true;
		ret->data_file_offset = ext->offset;
		ret->data_file_bytes = ext->bytes;
		return true;
	default:
		return true;
	}
}

static bool append(struct qc_extensions *extensions, const struct qc_extension *ext)
{
	struct qc_extension *grown;

	/* The list doubles whenever its length is a power of two. */
	if (extensions->count == 0 || qc_is_power_of_two(extensions->count)) {
		grown = reallocarray(extensions->list,
				     extensions->count ? extensions->count * 2 : 1, sizeof(*grown));
		if (!grown)
			return false;
		extensions->list = grown;
	}
	extensions->list[extensions->count++] = *ext;
	return true;
}

enum step {
	STEP_EXTENSION,
	STEP_END
};

/* Reads the head at *offset and moves behind it; STEP_END where the area ends, one way or other. */
static enum step next_head(const struct area *area, uint32_t *offset, struct qc_extension *ret)
{
	const uint32_t head_bytes = sizeof(struct qc_disk_extension);
	struct qc_extension ext = {.offset = *offset + head_bytes};

	if (*offset >= area->end || *offset >= area->length)
		return STEP_END;
	if (!qc_range_fits(*offset, head_bytes, qc_min(area->end, area->length))) {
		malformed(area, &ext, "cut short");
		return STEP_END;
	}
	ext.type = qc_load_be32(area->cluster0 + *offset);
	ext.bytes = qc_load_be32(area->cluster0 + *offset + 4);
	if (!qc_range_fits(ext.offset, ext.bytes, qc_min(area->end, area->length))) {
		malformed(area, &ext, "longer than the room for it");
		return STEP_END;
	}
	*offset = ext.offset;
	*ret = ext;
	return ext.type == QC_EXTENSION_END ? STEP_END : STEP_EXTENSION;
}

static bool walk(struct area *area, struct qc_extensions *ret)
{
	uint32_t offset = area->header->header_bytes;
	struct qc_extension ext;

	while (next_head(area, &offset, &ext) == STEP_EXTENSION) {
		if (take_payload(area, &ext, ret) && !append(ret, &ext))
			return false;
		offset = (uint32_t)(offset + qc_align_up(ext.bytes, EXTENSION_ALIGNMENT));
	}
	ret->end_offset = (uint32_t)qc_min(offset, area->end);
	return true;
}

int qc_extensions_decode(const struct qc_header *header, const uint8_t *cluster0, size_t length,
			 const struct qc_finding_sink *to, struct qc_extensions *ret,
			 struct qc_err *err)
{
	uint64_t cluster_bytes = UINT64_C(1) << header->cluster_bits;
	struct area area = {
		.header = header,
		.cluster0 = cluster0,
		.length = qc_min(length, cluster_bytes),
		.end = cluster_bytes,
		.to = to,
	};
	QC_CLEANUP(qc_extensions_clear) struct qc_extensions found = {0};

	if (!qc_host_is_none(header->backing_name))
		area.end = qc_min(header->backing_name.byte, cluster_bytes);
	if (!walk(&area, &found))
		return qc_fail_memory(err);
	if (header->crypt_method == QC_CRYPT_LUKS
	    && !(area.seen >> known_type(QC_EXTENSION_CRYPTO) & 1))
		qc_report(to, QC_FINDING_HEADER_CRYPT_METHOD,
			  "encrypted with LUKS, but no header extension says where its header is");
	*ret = found;
	found.list = NULL;
	return 0;
}

void qc_extensions_clear(struct qc_extensions *extensions)
{
	free(extensions->list);
	*extensions = (struct qc_extensions){0};
}

bool qc_extension_encode(uint32_t type, const void *payload, uint32_t bytes, uint8_t *cluster0,
			 uint32_t limit, uint32_t *offset)
{
	uint64_t padded = qc_align_up(bytes, EXTENSION_ALIGNMENT);
	uint8_t *at = cluster0 + *offset;

	if (!qc_range_fits(*offset, sizeof(struct qc_disk_extension) + padded, limit))
		return false;
	qc_store_be32(at, type);
	qc_store_be32(at + 4, bytes);
	at += sizeof(struct qc_disk_extension);
	if (bytes > 0)
		memcpy(at, payload, bytes);
	memset(at + bytes, 0, (size_t)(padded - bytes));
	*offset += (uint32_t)(sizeof(struct qc_disk_extension) + padded);
	return true;
}

void qc_feature_name(const struct qc_extensions *extensions, const uint8_t *cluster0, uint8_t kind,
		     uint8_t bit, char ret[47])
{
	const uint32_t entry_bytes = sizeof(struct qc_disk_feature_name);
	struct qc_disk_feature_name entry;
	uint32_t count =
		extensions->has_feature_names ? extensions->feature_names_bytes / entry_bytes : 0;

	ret[0] = '\0';
	for (uint32_t i = 0; i < count; i++) {
		memcpy(&entry, cluster0 + extensions->feature_names_offset + i * entry_bytes,
		       sizeof(entry));
		if (entry.type != kind || entry.bit != bit)
			continue;
		memcpy(ret, entry.name, sizeof(entry.name));
		ret[sizeof(entry.name)] = '\0';
		break;
	}
	for (char *c = ret; *c != '\0'; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
}
