// SPDX-License-Identifier: MIT
/*
 * Two address spaces meet in every line of this program, and mixing them up is the classic bug of
 * the field. So they are two types: an offset on the disk that the guest sees, and an offset in
 * the file that holds the image. Neither converts to the other, nor to a number, by accident.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* An offset on the guest's disk, in bytes. */
struct qc_guest {
	uint64_t byte;
};

/* An offset in the image file, in bytes. Where the format says "none", byte is 0. */
struct qc_host {
	uint64_t byte;
};

static inline struct qc_guest qc_guest(uint64_t byte)
{
	return (struct qc_guest){byte};
}

static inline struct qc_host qc_host(uint64_t byte)
{
	return (struct qc_host){byte};
}

/* The format spells "no such cluster" as offset 0, which is the header's own place. */
static inline bool qc_host_is_none(struct qc_host host)
{
	return host.byte == 0;
}
