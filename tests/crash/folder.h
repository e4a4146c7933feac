// SPDX-License-Identifier: MIT
/* This process's scratch folder, in memory where that can be, which goes with the process. */
#pragma once

#include <stdint.h>

struct image_bytes {
	uint8_t *bytes; /* owned */
	uint64_t size;
};

void image_bytes_copy(struct image_bytes *to, const uint8_t *bytes, uint64_t size);
void image_bytes_clear(struct image_bytes *image);

/* Where a file of that name is; the text stays until the name is asked for again. */
const char *folder_path(const char *name);

void folder_put(const char *name, const uint8_t *bytes, uint64_t size);
void folder_get(const char *name, struct image_bytes *ret); /* replaces what is there */
