// SPDX-License-Identifier: MIT
/* The L2 tables that were read lately, for readers: a few of them, the least recently used goes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/err.h"
#include "io/file.h"

struct qc_table_cache;

/* Room for `tables` tables of table_bytes each. */
int qc_table_cache_open(struct qc_file *file, size_t table_bytes, size_t tables,
			struct qc_table_cache **ret, struct qc_err *err);
void qc_table_cache_close(struct qc_table_cache *cache); /* NULL is fine */

/* The bytes of the table at `host` (never 0); borrowed until the next call. */
int qc_table_cache_get(struct qc_table_cache *cache, struct qc_host host, const uint8_t **ret,
		       struct qc_err *err);

/* Drops all that was read: the file has changed below. */
void qc_table_cache_forget(struct qc_table_cache *cache);
