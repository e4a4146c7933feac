// SPDX-License-Identifier: MIT
/* A file in memory, for tests and for building images before they are published. */
#pragma once

#include "io/file.h"

/* A copy of `length` bytes at `bytes` (NULL for an empty file). Fails only for lack of memory. */
int qc_file_mem_open(const void *bytes, size_t length, struct qc_file **ret, struct qc_err *err);

/* The contents, file->bytes long; borrowed until the next call that changes the file. */
const uint8_t *qc_file_mem_bytes(const struct qc_file *file);
