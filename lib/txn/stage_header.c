// SPDX-License-Identifier: MIT
#include "txn/stage_header.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/features.h"
#include "image/data_file.h"
#include "txn/txn_state.h"

#define EXTENSION_ALIGNMENT 8u
#define HEAD_BYTES ((uint32_t)sizeof(struct qc_disk_extension))

void qc_stage_header(const struct qc_header *header, const uint8_t before[QC_SECTOR_BYTES],
		     uint8_t ret[QC_SECTOR_BYTES])
{
	struct qc_header settled = *header;

	settled.autoclear &= QC_AUTOCLEAR_KNOWN;
	memmove(ret, before, QC_SECTOR_BYTES);
	qc_header_encode(&settled, ret);
}

/* --- layout --- */

/* One layout under way. */
struct relay {
	const struct qc_header *header;
	const struct qc_extensions *extensions;
	const uint8_t *cluster0;
	const char *name, *format;
	uint32_t name_bytes;
	uint64_t cluster_bytes;
};

static const struct qc_extension *find_extension(const struct relay *r, uint32_t type)
{
	for (size_t i = 0; i < r->extensions->count; i++)
		if (r->extensions->list[i].type == type)
			return &r->extensions->list[i];
	return NULL;
}

/* What the file's order becomes: what changes, what is known, what is not, what can go. */
static unsigned int rank_of(uint32_t type)
{
	switch (type) {
	case QC_EXTENSION_BITMAPS:
		return 0;
	case QC_EXTENSION_CRYPTO:
	case QC_EXTENSION_DATA_FILE:
		return 1;
	case QC_EXTENSION_FEATURE_NAMES:
		return 3;
	default:
		return 2;
	}
}

/* Puts all extensions into the sector; false if they do not fit. *ret_end is where they end. */
static bool put_extensions(const struct relay *r, bool feature_names, uint8_t *sector,
			   uint32_t *ret_end)
{
	uint32_t at = r->header->header_bytes;

	if (at > QC_SECTOR_BYTES)
		return false;
	memcpy(sector, r->cluster0, at);
	memset(sector + at, 0, QC_SECTOR_BYTES - at);
	if (r->name && r->format
	    && !qc_extension_encode(QC_EXTENSION_BACKING_FORMAT, r->format,
				    (uint32_t)strlen(r->format), sector, QC_SECTOR_BYTES, &at))
		return false;
	for (unsigned int rank = 0; rank <= 3; rank++)
		for (size_t i = 0; i < r->extensions->count; i++) {
			const struct qc_extension *ext = &r->extensions->list[i];

			if (ext->type == QC_EXTENSION_BACKING_FORMAT || rank_of(ext->type) != rank
			    || (!feature_names && ext->type == QC_EXTENSION_FEATURE_NAMES))
				continue;
			if (!qc_extension_encode(ext->type, r->cluster0 + ext->offset, ext->bytes,
						 sector, QC_SECTOR_BYTES, &at))
				return false;
		}
	*ret_end = at + HEAD_BYTES;
	return qc_extension_encode(QC_EXTENSION_END, NULL, 0, sector, QC_SECTOR_BYTES, &at);
}

/*
 * Whether the extensions end with a mark. Where they end because the old name begins, they cannot
 * stay as they are when another name counts.
 */
static bool has_end_mark(const struct relay *r)
{
	uint32_t end = r->extensions->end_offset;
	uint32_t last = r->header->header_bytes;

	for (size_t i = 0; i < r->extensions->count; i++) {
		const struct qc_extension *ext = &r->extensions->list[i];

		last = (uint32_t)qc_max(last,
					ext->offset + qc_align_up(ext->bytes, EXTENSION_ALIGNMENT));
	}
	return last + HEAD_BYTES <= end
	       && qc_load_be32(r->cluster0 + end - HEAD_BYTES) == QC_EXTENSION_END;
}

/*
 * Leaves the extensions where they are, for those that are more than sector 0 holds. The format can
 * change if its new name takes the room of the old one. One that nothing refers to any more stays.
 */
static bool keep_extensions(const struct relay *r, uint8_t *sector, uint32_t *ret_end)
{
	const struct qc_extension *old = find_extension(r, QC_EXTENSION_BACKING_FORMAT);
	uint32_t bytes = r->format ? (uint32_t)strlen(r->format) : 0;
	uint32_t at;

	if (!has_end_mark(r))
		return false;
	memcpy(sector, r->cluster0, QC_SECTOR_BYTES);
	*ret_end = r->extensions->end_offset;
	if (!r->name || strcmp(r->extensions->backing_format, r->format ? r->format : "") == 0)
		return true;
	if (!old || !r->format
	    || qc_align_up(bytes, EXTENSION_ALIGNMENT)
		       != qc_align_up(old->bytes, EXTENSION_ALIGNMENT))
		return false;
	at = old->offset - HEAD_BYTES;
	return qc_extension_encode(old->type, r->format, bytes, sector, QC_SECTOR_BYTES, &at);
}

static bool overlaps(uint64_t at, uint64_t bytes, uint64_t other, uint64_t other_bytes)
{
	return at < other + other_bytes && other < at + bytes;
}

/*
 * Finds room for the name behind sector 0, where neither the committed header nor the new one has
 * anything; 0: there is none.
 */
static uint64_t place_apart(const struct relay *r, uint32_t extensions_end)
{
	const struct qc_header *old = r->header;
	uint64_t at = qc_max(qc_max(QC_SECTOR_BYTES, extensions_end), r->extensions->end_offset);

	if (!qc_host_is_none(old->backing_name)
	    && overlaps(at, r->name_bytes, old->backing_name.byte, old->backing_name_bytes))
		at = qc_align_up(old->backing_name.byte + old->backing_name_bytes,
				 EXTENSION_ALIGNMENT);
	return qc_range_fits(at, r->name_bytes, r->cluster_bytes) ? at : 0;
}

/* Puts the name behind the extensions; false if it does not fit into sector 0. */
static bool put_name(const struct relay *r, uint32_t extensions_end, struct qc_header_layout *l)
{
	if (!r->name)
		return true;
	if (!qc_range_fits(extensions_end, r->name_bytes, QC_SECTOR_BYTES))
		return false;
	memcpy(l->sector + extensions_end, r->name, r->name_bytes);
	l->name = qc_host(extensions_end);
	return true;
}

static bool put_name_apart(const struct relay *r, uint32_t extensions_end,
			   struct qc_header_layout *l)
{
	l->name = qc_host(place_apart(r, extensions_end));
	l->name_apart = true;
	return !qc_host_is_none(l->name);
}

/* From the best layout to the last resort. */
static bool lay_out(const struct relay *r, struct qc_header_layout *l)
{
	uint32_t end = 0;

	if ((put_extensions(r, true, l->sector, &end) && put_name(r, end, l))
	    || (put_extensions(r, false, l->sector, &end) && put_name(r, end, l)))
		return true;
	if (put_extensions(r, true, l->sector, &end) || put_extensions(r, false, l->sector, &end))
		return put_name_apart(r, end, l);
	return keep_extensions(r, l->sector, &end) && (!r->name || put_name_apart(r, end, l));
}

int qc_stage_header_layout(const struct qc_header *header, const struct qc_extensions *extensions,
			   const uint8_t *cluster0, const char *name, const char *format,
			   struct qc_header_layout *ret, struct qc_err *err)
{
	struct relay r = {
		.header = header,
		.extensions = extensions,
		.cluster0 = cluster0,
		.name = name,
		.format = format,
		.cluster_bytes = UINT64_C(1) << header->cluster_bits,
	};
	struct qc_header_layout layout = {0};
	size_t length = name ? strlen(name) : 0;

	if (length > QC_BACKING_NAME_BYTES_MAX)
		return qc_fail(err, QC_E_ARGUMENT,
			       "the backing file's name has %zu bytes, more than %u", length,
			       QC_BACKING_NAME_BYTES_MAX);
	if (format && strlen(format) > QC_BACKING_FORMAT_BYTES_MAX)
		return qc_fail(err, QC_E_ARGUMENT,
			       "the backing file's format has more than %u bytes",
			       QC_BACKING_FORMAT_BYTES_MAX);
	r.name_bytes = (uint32_t)length;
	layout.name_bytes = r.name_bytes;
	if (!lay_out(&r, &layout))
		return qc_fail(err, QC_E_NO_SPACE,
			       "the header has no room for the backing file's name and format");
	*ret = layout;
	return 0;
}

/* --- the edit --- */

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Lays sector 0 out anew, for the backing file of that name. */
static int relay(struct qc_txn *txn, const char *name, const char *format, struct qc_err *err)
{
	const struct qc_image *image = txn->image;
	size_t cluster_bytes = (size_t)txn->geometry->cluster_bytes;
	QC_AUTOFREE uint8_t *cluster0 = malloc(cluster_bytes);
	struct qc_header_layout layout;
	int status;

	if (!txn->relaid)
		txn->relaid = malloc(QC_SECTOR_BYTES);
	if (!cluster0 || !txn->relaid)
		return qc_fail_memory(err);
	memcpy(txn->relaid, image->sector0, QC_SECTOR_BYTES);
	status = qc_file_read(image->file, 0, cluster0, cluster_bytes, err);
	if (status == 0)
		status = qc_stage_header_layout(&image->header, &image->extensions, cluster0, name,
						format, &layout, err);
	if (status == 0 && layout.name_apart)
		status = qc_txn_put(txn, layout.name, name, layout.name_bytes, err);
	if (status < 0)
		return status;
	memcpy(txn->relaid, layout.sector, QC_SECTOR_BYTES);
	txn->header.backing_name = layout.name;
	txn->header.backing_name_bytes = layout.name_bytes;
	txn->header_changed = true;
	return 0;
}

/* The payload of the bitmaps extension, if all of it lies in the sector. */
static uint8_t *find_bitmaps(uint8_t *sector, uint32_t header_bytes)
{
	uint64_t at = header_bytes;

	while (at + HEAD_BYTES <= QC_SECTOR_BYTES) {
		uint32_t type = qc_load_be32(sector + at);
		uint64_t bytes = qc_load_be32(sector + at + sizeof(uint32_t));

		at += HEAD_BYTES;
		if (type == QC_EXTENSION_BITMAPS)
			return at + bytes <= QC_SECTOR_BYTES
					       && bytes == sizeof(struct qc_disk_bitmaps_extension)
				       ? sector + at
				       : NULL;
		if (type == QC_EXTENSION_END)
			break;
		at += qc_align_up(bytes, EXTENSION_ALIGNMENT);
	}
	return NULL;
}

static int require_bitmaps(struct qc_txn *txn, struct qc_err *err)
{
	if (find_bitmaps(txn->relaid, txn->header.header_bytes))
		return 0;
	return qc_fail(err, QC_E_NO_SPACE,
		       "the header's first sector has no room for the extension of dirty bitmaps");
}

int qc_stage_header_bitmaps(struct qc_txn *txn, struct qc_err *err)
{
	const struct qc_image *image = txn->image;
	const char *format = image->extensions.backing_format;
	uint8_t sector[QC_SECTOR_BYTES];
	int status;

	memcpy(sector, image->sector0, sizeof(sector));
	if (!txn->relaid) {
		if (find_bitmaps(sector, txn->header.header_bytes))
			return 0;
		status = relay(txn, image->backing_name, format[0] ? format : NULL, err);
		if (status < 0)
			return status;
	}
	return require_bitmaps(txn, err);
}

void qc_stage_header_lead_to_bitmaps(uint32_t header_bytes, struct qc_host directory,
				     uint64_t directory_bytes, uint8_t sector[QC_SECTOR_BYTES])
{
	uint8_t *payload = find_bitmaps(sector, header_bytes);
	struct qc_disk_bitmaps_extension extension;

	assert(payload);
	memcpy(&extension, payload, sizeof(extension));
	extension.bitmap_directory_offset = qc_be64_make(directory.byte);
	extension.bitmap_directory_size = qc_be64_make(directory_bytes);
	memcpy(payload, &extension, sizeof(extension));
}

int qc_txn_set_backing(struct qc_txn *txn, const char *name, const char *format, struct qc_err *err)
{
	const struct qc_image *image = txn->image;
	int status;

	assert(!txn->failed);
	if (same_text(name, image->backing_name)
	    && (!name || same_text(format, image->extensions.backing_format)))
		return 0;
	if (name && qc_data_file_is_raw(image))
		return qc_txn_result(txn, qc_fail(err, QC_E_UNSUPPORTED,
						  "its data file is a raw image of its own "
						  "(data_file_raw), which a backing file would not "
						  "show through"));
	status = relay(txn, name, format, err);
	if (status == 0 && txn->marks.changed)
		status = require_bitmaps(txn, err);
	return qc_txn_result(txn, status);
}
