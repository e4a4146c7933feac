// SPDX-License-Identifier: MIT
/*
 * What `info` says about one layer, as a JSON object with the keys of qemu-img info. The text for
 * people is made from the same object, so the order of its members is the order of the lines.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "image/chain.h"

/*
 * The object for a layer that was opened for its metadata. NULL in *ret stands for lack of memory,
 * as jansson has it; fails where the image must be read and cannot be.
 */
int info_value(const struct qc_layer *layer, json_t **ret, struct qc_err *err);

/* Likewise the "encrypt" object of an image that is encrypted. */
int info_value_encrypt(const struct qc_image *image, json_t **ret, struct qc_err *err);

/* The list of snapshots in it, and its text: what `snapshot-cow list` shows. */
json_t *info_value_snapshots(const struct qc_snapshots *snapshots);
void info_print_snapshots(const json_t *snapshots);

/* The object in the text of qemu-img info. */
void info_print(const json_t *info);
