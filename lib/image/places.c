// SPDX-License-Identifier: MIT
/*
 * The walk looks ahead only a little to begin with, and twice as far whenever that was not enough:
 * so a terabyte of one kind takes a few looks, and a chain whose upper layers are empty is not
 * walked to its end again for each small part of a lower one.
 */
#include "image/places.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"

#define LOOK_BYTES_MIN (UINT64_C(256) << 10)
#define LOOK_BYTES_MAX_DATA (UINT64_C(1) << 30) /* others wait meanwhile */

void qc_place_cut(struct qc_place *place, struct qc_guest at)
{
	uint64_t skip = at.byte - place->guest.byte;

	place->guest = at;
	place->extent.bytes -= skip;
	if (place->extent.has_host)
		place->extent.host.byte += skip;
}

/* Where the data of an extent that is not zero can be read. */
static int find_file(const struct qc_view *top, struct qc_place *place, struct qc_err *err)
{
	const struct qc_layer *layer = place->extent.layer;
	struct qc_l2_entry entry;
	struct qc_view view = *top;
	int status;

	if (layer)
		qc_view_active(layer, &view);
	place->file = !view.image ? view.raw : view.image->data;
	if (!place->extent.compressed)
		return 0;
	status = qc_map_entry(&view, place->guest, &entry, err);
	if (status < 0)
		return status;
	place->packed = view.image;
	place->packed_host = entry.host;
	place->packed_bytes = entry.compressed_bytes;
	return 0;
}

static void plan_next_look(struct qc_places *places, const struct qc_chain_extent *extent)
{
	uint64_t look = extent->bytes;

	if (look >= places->look_bytes)
		look = qc_min(look, QC_DISK_BYTES_MAX / 2) * 2;
	if (!extent->zero)
		look = qc_min(look, LOOK_BYTES_MAX_DATA);
	places->look_bytes = qc_max(look, LOOK_BYTES_MIN);
}

static int look_at(struct qc_places *places, struct qc_guest at, struct qc_err *err)
{
	const struct qc_view *view = places->view;
	struct qc_place place = {.guest = at};
	int status;

	if (places->look_bytes == 0)
		places->look_bytes = LOOK_BYTES_MIN;
	if (at.byte >= view->disk_bytes) {
		place.extent =
			(struct qc_chain_extent){.zero = true, .bytes = UINT64_MAX - at.byte};
		places->current = place;
		return 0;
	}
	status = qc_chain_map(view, at, qc_min(places->look_bytes, view->disk_bytes - at.byte),
			      &place.extent, err);
	if (status == 0 && !place.extent.zero)
		status = find_file(view, &place, err);
	if (status < 0)
		return status;
	plan_next_look(places, &place.extent);
	places->current = place;
	return 0;
}

int qc_places_at(struct qc_places *places, struct qc_guest at, struct qc_place *ret,
		 struct qc_err *err)
{
	struct qc_place *current = &places->current;
	int status;

	if (at.byte < current->guest.byte
	    || at.byte - current->guest.byte >= current->extent.bytes) {
		status = look_at(places, at, err);
		if (status < 0)
			return status;
	}
	*ret = *current;
	qc_place_cut(ret, at);
	return 0;
}

/* --- lists --- */

int qc_place_list_add(struct qc_place_list *list, const struct qc_place *place, struct qc_err *err)
{
	size_t room = (size_t)qc_max(64, list->room * 2);
	struct qc_place *grown;

	if (list->count == list->room) {
		grown = reallocarray(list->places, room, sizeof(*grown));
		if (!grown)
			return qc_fail_memory(err);
		list->places = grown;
		list->room = room;
	}
	list->places[list->count++] = *place;
	return 0;
}

void qc_place_list_empty(struct qc_place_list *list)
{
	list->count = 0;
	list->next = 0;
}

void qc_place_list_clear(struct qc_place_list *list)
{
	free(list->places);
	*list = (struct qc_place_list){0};
}

int qc_place_list_fill(struct qc_place_list *list, struct qc_places *places, uint64_t from,
		       uint64_t to, struct qc_err *err)
{
	struct qc_place place;
	int status;

	qc_place_list_empty(list);
	for (uint64_t at = from; at < to; at += place.extent.bytes) {
		status = qc_places_at(places, qc_guest(at), &place, err);
		if (status < 0)
			return status;
		place.extent.bytes = qc_min(place.extent.bytes, to - at);
		status = qc_place_list_add(list, &place, err);
		if (status < 0)
			return status;
	}
	return 0;
}

/* --- reading --- */

struct qc_place_reader {
	struct qc_codec *codec;
	uint8_t compression; /* the codec's */
	uint8_t *packed;
	uint64_t packed_room;
	uint8_t *cluster;
	uint64_t cluster_room;
	const struct qc_image *image; /* whose cluster is in `cluster`; NULL: none is */
	struct qc_host host;	      /* where it was, */
	uint64_t packed_bytes;	      /* and how long */
};

int qc_place_reader_open(struct qc_place_reader **ret, struct qc_err *err)
{
	struct qc_place_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return qc_fail_memory(err);
	*ret = reader;
	return 0;
}

void qc_place_reader_close(struct qc_place_reader *reader)
{
	if (!reader)
		return;
	qc_codec_close(reader->codec);
	free(reader->packed);
	free(reader->cluster);
	free(reader);
}

static int make_room(uint8_t **buffer, uint64_t *room, uint64_t needed, struct qc_err *err)
{
	uint8_t *grown;

	if (needed <= *room)
		return 0;
	grown = realloc(*buffer, (size_t)needed);
	if (!grown)
		return qc_fail_memory(err);
	*buffer = grown;
	*room = needed;
	return 0;
}

/* Chains seldom mix compression types, so one codec at a time is enough. */
static int choose_codec(struct qc_place_reader *reader, uint8_t compression, struct qc_err *err)
{
	if (reader->codec && reader->compression == compression)
		return 0;
	qc_codec_close(qc_steal(&reader->codec));
	reader->compression = compression;
	return qc_codec_open((enum qc_compression)compression, &reader->codec, err);
}

static int prepare(struct qc_place_reader *reader, const struct qc_place *place, struct qc_err *err)
{
	int status;

	status = choose_codec(reader, place->packed->header.compression, err);
	if (status < 0)
		return status;
	status = make_room(&reader->packed, &reader->packed_room, place->packed_bytes, err);
	if (status < 0)
		return status;
	return make_room(&reader->cluster, &reader->cluster_room,
			 place->packed->geometry.cluster_bytes, err);
}

static bool has_cluster(const struct qc_place_reader *reader, const struct qc_place *place)
{
	return reader->image == place->packed && reader->host.byte == place->packed_host.byte
	       && reader->packed_bytes == place->packed_bytes;
}

static int decompress(struct qc_place_reader *reader, const struct qc_place *place,
		      struct qc_err *err)
{
	int status;

	if (has_cluster(reader, place))
		return 0;
	reader->image = NULL;
	status = prepare(reader, place, err);
	if (status < 0)
		return status;
	status = qc_file_read(place->file, place->packed_host.byte, reader->packed,
			      (size_t)place->packed_bytes, err);
	if (status == 0)
		status = qc_codec_decompress(reader->codec, reader->packed,
					     (size_t)place->packed_bytes, reader->cluster,
					     (size_t)place->packed->geometry.cluster_bytes, err);
	if (status < 0)
		return qc_err_context(err,
				      "compressed cluster for guest offset %#" PRIx64
				      " (host offset %#" PRIx64 ")",
				      place->guest.byte, place->packed_host.byte);
	reader->image = place->packed;
	reader->host = place->packed_host;
	reader->packed_bytes = place->packed_bytes;
	return 0;
}

int qc_place_read(struct qc_place_reader *reader, const struct qc_place *place, struct qc_guest at,
		  void *buffer, size_t length, struct qc_err *err)
{
	int status;

	if (place->extent.zero) {
		memset(buffer, 0, length);
		return 0;
	}
	if (!place->packed)
		return qc_file_read(place->file,
				    place->extent.host.byte + (at.byte - place->guest.byte), buffer,
				    length, err);
	status = decompress(reader, place, err);
	if (status < 0)
		return status;
	memcpy(buffer, reader->cluster + qc_in_cluster(&place->packed->geometry, at.byte), length);
	return 0;
}

static uint64_t end_of(const struct qc_place *place)
{
	return place->guest.byte + place->extent.bytes;
}

int qc_place_list_read(struct qc_place_reader *reader, struct qc_place_list *list,
		       struct qc_guest at, void *buffer, size_t length, struct qc_err *err)
{
	const struct qc_place *place;
	uint8_t *to = buffer;
	size_t bytes;
	int status;

	if (list->count > 0 && at.byte < list->places[list->next].guest.byte)
		list->next = 0;
	for (; length > 0; at.byte += bytes, to += bytes, length -= bytes) {
		while (end_of(&list->places[list->next]) <= at.byte)
			list->next++;
		place = &list->places[list->next];
		bytes = (size_t)qc_min(length, end_of(place) - at.byte);
		status = qc_place_read(reader, place, at, to, bytes, err);
		if (status < 0)
			return status;
	}
	return 0;
}
