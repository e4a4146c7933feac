// SPDX-License-Identifier: MIT
/* What the guest sees at an offset, and which layer of the chain it comes from. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "image/chain.h"
#include "image/map.h"

/*
 *				present  zero  data
 *	no layer has it		0	 1     0
 *	zeroes			1	 1     0
 *	stored			1	 0     1
 *	stored in a hole	1	 1     1	(preallocated and never written)
 */
struct qc_chain_extent {
	uint32_t depth;		      /* 0: the view itself, 1: its backing file, ... */
	const struct qc_layer *layer; /* borrowed; NULL: the view itself */
	bool present;		      /* a layer has it; else it is zero because none has */
	bool zero;
	bool data;
	bool compressed;
	bool has_host;
	struct qc_host host; /* in the layer's file */
	uint64_t bytes;
};

/*
 * What is at `at` (below the view's disk_bytes), and for how many bytes (1 .. max_bytes). Extents
 * need not be as long as they could; qc_chain_extent_joins() puts them together.
 */
int qc_chain_map(const struct qc_view *view, struct qc_guest at, uint64_t max_bytes,
		 struct qc_chain_extent *ret, struct qc_err *err);

/* Whether `next`, which begins where `first` ends, says the same and goes on in the same place. */
bool qc_chain_extent_joins(const struct qc_chain_extent *first, const struct qc_chain_extent *next);
