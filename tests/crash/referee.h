// SPDX-License-Identifier: MIT
/* QEMU's programs as the last instance: slow, and somebody else's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crash/scenario.h"

/*
 * Whether `qemu-img check` finds nothing wrong with the image. `sight` (NULL: nothing), here as below,
 * gets what it reads of the image and of its data file, which is "data" in the scratch folder.
 */
bool referee_checks(const uint8_t *bytes, uint64_t size, struct sight *sight);

/* Whether `qemu-img compare` finds no difference between the image and ... */
bool referee_compares(const uint8_t *bytes, uint64_t size, const uint8_t *like, uint64_t like_size);
bool referee_compares_with_disk(const struct image_bytes *image, const struct image_bytes *disk);

/* Lets qemu-io write a pattern; false if it fails. The image becomes what qemu-io left. */
bool referee_writes(struct image_bytes *image, uint64_t at, uint64_t length, struct sight *sight);
