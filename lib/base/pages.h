// SPDX-License-Identifier: MIT
/*
 * Memory for bytes that come from files, or go there, in bulk. Processors copy to and from the page
 * cache several times faster where both sides lie alike in their pages.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#define QC_PAGE_BYTES ((size_t)4096)

/* At least so many bytes, from the start of a page on; NULL if there is no memory. For free(). */
static inline void *qc_pages_alloc(size_t bytes)
{
	return aligned_alloc(QC_PAGE_BYTES, (bytes + QC_PAGE_BYTES - 1) & ~(QC_PAGE_BYTES - 1));
}
