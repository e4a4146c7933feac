// SPDX-License-Identifier: MIT
/* Guest bytes, through the whole chain. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "format/l2_entry.h"
#include "image/chain.h"
#include "image/map.h"

/* Reads `length` bytes at `at`. What lies past the end of the view's disk reads as zeroes. */
int qc_read(const struct qc_view *view, struct qc_guest at, void *buffer, size_t length,
	    struct qc_err *err);

/* Likewise for a layer's active disk; `layer` NULL reads zeroes. */
int qc_read_layer(const struct qc_layer *layer, struct qc_guest at, void *buffer, size_t length,
		  struct qc_err *err);

/*
 * Reads what an entry of this image says: `length` bytes at `at`, all within the entry's one
 * cluster. `backing` (NULL: zeroes) supplies what is unallocated. Writers use it to merge a cluster
 * whose entry is not in the committed tables.
 */
int qc_read_entry(struct qc_image *image, const struct qc_layer *backing,
		  const struct qc_l2_entry *entry, struct qc_guest at, void *buffer, size_t length,
		  struct qc_err *err);
