// SPDX-License-Identifier: MIT
/* A set of bytes as sorted ranges, of which no two touch. Made for edits that go upwards. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct qc_range {
	uint64_t offset, bytes;
};

struct qc_ranges {
	struct qc_range *list;
	size_t count, room;
};

int qc_ranges_add(struct qc_ranges *ranges, uint64_t offset, uint64_t bytes, struct qc_err *err);

int qc_ranges_remove(struct qc_ranges *ranges, uint64_t offset, uint64_t bytes, struct qc_err *err);

/* The place of the first range that ends behind `offset`; `count` if none does. */
size_t qc_ranges_find(const struct qc_ranges *ranges, uint64_t offset);

/* Zeroes those of the `length` bytes at `buffer`, which stand for `offset` and on, that are in the set. */
void qc_ranges_blank(const struct qc_ranges *ranges, uint64_t offset, uint8_t *buffer,
		     size_t length);

void qc_ranges_clear(struct qc_ranges *ranges); /* harmless on a zeroed struct */
