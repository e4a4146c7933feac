// SPDX-License-Identifier: MIT
/*
 * Raw files as models of disks: what the guest must see. They are sparse, so that a disk of a TiB is
 * as cheap as its contents. A failing system call ends the program, as nothing can be proved then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void sparse_create(const char *path, uint64_t bytes); /* all zeroes; replaces what is there */
void sparse_resize(const char *path, uint64_t bytes);
uint64_t sparse_bytes(const char *path);
void sparse_write(const char *path, uint64_t at, const void *bytes, size_t length);
void sparse_fill(const char *path, uint64_t at, uint8_t byte, uint64_t length);
void sparse_zero(const char *path, uint64_t at, uint64_t length);
void sparse_read(const char *path, uint64_t at, void *bytes, size_t length);

/* The first offset from `at` on that may hold anything but zeroes; the file's length if none does. */
uint64_t sparse_next_data(const char *path, uint64_t at);

/* Holes stay holes. */
void sparse_copy(const char *from, const char *to);

/* Whether the first `bytes` of both are the same; *ret_at is where they differ. */
bool sparse_same(const char *one, const char *other, uint64_t bytes, uint64_t *ret_at);
bool sparse_same_file(const char *one, const char *other); /* to the last byte, and none more */
