// SPDX-License-Identifier: MIT
/*
 * Every bound on what a file may claim, in one place. A count that comes from a file is compared
 * with a limit from here before anything is allocated, multiplied or shifted by it. Where a limit
 * is QEMU's own rather than the format's, images beyond it exist nowhere else either.
 */
#pragma once

#include <stdint.h>

#define QC_SECTOR_BYTES 512u /* what the commit assumes to be written atomically */

#define QC_CLUSTER_BITS_MIN 9u
#define QC_CLUSTER_BITS_MAX 21u
#define QC_CLUSTER_BITS_MIN_EXTENDED_L2 14u /* 32 subclusters of at least 512 bytes */
#define QC_CLUSTER_BITS_DEFAULT 16u
#define QC_REFCOUNT_ORDER_MAX 6u /* 64 bits */
#define QC_REFCOUNT_ORDER_V2 4u	 /* version 2 has no field for it: 16 bits */

#define QC_L1_BYTES_MAX (32u << 20)
#define QC_REFCOUNT_TABLE_BYTES_MAX (8u << 20)
#define QC_HOST_OFFSET_MAX ((UINT64_C(1) << 56) - 1) /* bits 9..55 of an L1 or L2 entry */
#define QC_DISK_BYTES_MAX ((uint64_t)INT64_MAX)

#define QC_SNAPSHOTS_MAX 65536u
#define QC_SNAPSHOT_TABLE_BYTES_MAX (64u << 20)
#define QC_SNAPSHOT_EXTRA_BYTES_MAX 1024u
#define QC_BITMAPS_MAX 65535u
#define QC_BITMAP_DIRECTORY_BYTES_MAX (QC_BITMAPS_MAX * 1024u)
#define QC_BITMAP_NAME_BYTES_MAX 1023u
#define QC_BITMAP_GRANULARITY_BITS_MIN 9u
#define QC_BITMAP_GRANULARITY_BITS_MAX 31u

#define QC_BACKING_NAME_BYTES_MAX 1023u
#define QC_BACKING_FORMAT_BYTES_MAX 15u
#define QC_CHAIN_DEPTH_MAX 200u /* images in one backing chain */
