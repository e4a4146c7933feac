// SPDX-License-Identifier: MIT
/* QEMU's programs as the last instance: slow, and somebody else's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crash/scenario.h"

/* Whether `qemu-img check` finds nothing, and `qemu-img compare` no difference to the other image. */
bool referee_agrees(const uint8_t *bytes, uint64_t size, const uint8_t *like, uint64_t like_size);

/* Whether `qemu-img check` finds nothing, and `qemu-img compare` no difference to the raw disk. */
bool referee_agrees_with_disk(const struct image_bytes *image, const struct image_bytes *disk);

/* Lets qemu-io write a pattern; false if it fails. The image becomes what qemu-io left. */
bool referee_writes(struct image_bytes *image, uint64_t at, uint64_t length);
