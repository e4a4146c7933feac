// SPDX-License-Identifier: MIT
/*
 * Big-endian integers as they lie on disk. They are structs of bytes: alignment 1, no padding, and
 * arithmetic on them does not compile, so a field that was not converted cannot be used by mistake.
 */
#pragma once

#include <stdint.h>
#include <string.h>

typedef struct {
	uint8_t byte[2];
} qc_be16;

typedef struct {
	uint8_t byte[4];
} qc_be32;

typedef struct {
	uint8_t byte[8];
} qc_be64;

/* Loads and stores through any pointer: one move and one swap with both compilers. */
static inline uint16_t qc_load_be16(const void *from)
{
	uint16_t value;

	memcpy(&value, from, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap16(value);
#endif
	return value;
}

static inline uint32_t qc_load_be32(const void *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap32(value);
#endif
	return value;
}

static inline uint64_t qc_load_be64(const void *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap64(value);
#endif
	return value;
}

static inline void qc_store_be16(void *to, uint16_t value)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap16(value);
#endif
	memcpy(to, &value, sizeof(value));
}

static inline void qc_store_be32(void *to, uint32_t value)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap32(value);
#endif
	memcpy(to, &value, sizeof(value));
}

static inline void qc_store_be64(void *to, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap64(value);
#endif
	memcpy(to, &value, sizeof(value));
}

static inline uint16_t qc_be16_get(qc_be16 field)
{
	return qc_load_be16(field.byte);
}

static inline uint32_t qc_be32_get(qc_be32 field)
{
	return qc_load_be32(field.byte);
}

static inline uint64_t qc_be64_get(qc_be64 field)
{
	return qc_load_be64(field.byte);
}

static inline qc_be16 qc_be16_make(uint16_t value)
{
	qc_be16 field;

	qc_store_be16(field.byte, value);
	return field;
}

static inline qc_be32 qc_be32_make(uint32_t value)
{
	qc_be32 field;

	qc_store_be32(field.byte, value);
	return field;
}

static inline qc_be64 qc_be64_make(uint64_t value)
{
	qc_be64 field;

	qc_store_be64(field.byte, value);
	return field;
}
