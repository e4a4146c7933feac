// SPDX-License-Identifier: MIT
/*
 * Reading guest bytes with several threads. One thread at a time asks where the bytes are, because a
 * chain holds caches; what it learns, any thread may then read without asking again.
 *
 * Calling sequence
 *	struct qc_places places = {.view = &view};
 *	qc_places_at(&places, at, &place, &err);		one thread at a time
 *	qc_place_read(reader, &place, at, buffer, length, &err);	any thread, a reader each
 *
 * Who reads longer stretches takes the list of their places along:
 *	qc_place_list_fill(&list, &places, from, to, &err);	one thread at a time
 *	qc_place_list_read(reader, &list, at, buffer, length, &err);	any thread, a list each
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "image/chain_map.h"
#include "image/map.h"

/* A part of the disk that is in one place. What it points to is the chain's, and is not changed. */
struct qc_place {
	struct qc_guest guest;
	struct qc_chain_extent extent;
	struct qc_file *file;	       /* NULL: zeroes */
	const struct qc_image *packed; /* the image, if it is one compressed cluster's; else NULL */
	struct qc_host packed_host;
	uint64_t packed_bytes;
};

/* A walk over a view. Zeroed but for `view` it is ready. */
struct qc_places {
	const struct qc_view *view;
	struct qc_place current;
	uint64_t look_bytes; /* how far to look: more each time it was not far enough */
};

/*
 * The place that holds `at`, with what comes before `at` cut off. Past the end of the disk there is
 * one place of zeroes that no layer has, without an end. Costs little where `at` never goes back.
 */
int qc_places_at(struct qc_places *places, struct qc_guest at, struct qc_place *ret,
		 struct qc_err *err);

/* Cuts off what comes before `at`, which is inside of the place. */
void qc_place_cut(struct qc_place *place, struct qc_guest at);

/* The places of a stretch of the disk, in order. Zeroed it is empty. */
struct qc_place_list {
	struct qc_place *places;
	size_t count, room;
	size_t next; /* the place that was read last */
};

int qc_place_list_add(struct qc_place_list *list, const struct qc_place *place, struct qc_err *err);
void qc_place_list_empty(struct qc_place_list *list); /* keeps the memory */
void qc_place_list_clear(struct qc_place_list *list);

/* Replaces the list by the places of [from, to), the last one cut off there. */
int qc_place_list_fill(struct qc_place_list *list, struct qc_places *places, uint64_t from,
		       uint64_t to, struct qc_err *err);

/* What one thread needs to read: a codec and a cluster, taken when first needed. */
struct qc_place_reader;

int qc_place_reader_open(struct qc_place_reader **ret, struct qc_err *err);
void qc_place_reader_close(struct qc_place_reader *reader); /* NULL is fine */

/* Reads `length` bytes at `at`, all of them inside the place. */
int qc_place_read(struct qc_place_reader *reader, const struct qc_place *place, struct qc_guest at,
		  void *buffer, size_t length, struct qc_err *err);

/*
 * Reads `length` bytes at `at`, all of them inside the list, which has no gaps. Costs little where `at`
 * never goes back.
 */
int qc_place_list_read(struct qc_place_reader *reader, struct qc_place_list *list,
		       struct qc_guest at, void *buffer, size_t length, struct qc_err *err);
