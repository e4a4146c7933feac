// SPDX-License-Identifier: MIT
/* The feature bits of a version 3 header, and what this program makes of each. */
#pragma once

#include <stdint.h>

#define QC_INCOMPAT_DIRTY (UINT64_C(1) << 0)	   /* refcounts may be wrong */
#define QC_INCOMPAT_CORRUPT (UINT64_C(1) << 1)	   /* metadata is known to be damaged */
#define QC_INCOMPAT_DATA_FILE (UINT64_C(1) << 2)   /* guest data lies in another file */
#define QC_INCOMPAT_COMPRESSION (UINT64_C(1) << 3) /* compression_type is not zlib */
#define QC_INCOMPAT_EXTENDED_L2 (UINT64_C(1) << 4) /* L2 entries with subclusters */
#define QC_INCOMPAT_KNOWN                                                                          \
	(QC_INCOMPAT_DIRTY | QC_INCOMPAT_CORRUPT | QC_INCOMPAT_DATA_FILE | QC_INCOMPAT_COMPRESSION \
	 | QC_INCOMPAT_EXTENDED_L2)

#define QC_COMPAT_LAZY_REFCOUNTS                                                                   \
	(UINT64_C(1) << 0) /* unknown compatible bits are kept as they are */

#define QC_AUTOCLEAR_BITMAPS (UINT64_C(1) << 0)	 /* the bitmaps extension is consistent */
#define QC_AUTOCLEAR_DATA_RAW (UINT64_C(1) << 1) /* the data file is a valid raw image */
#define QC_AUTOCLEAR_KNOWN (QC_AUTOCLEAR_BITMAPS | QC_AUTOCLEAR_DATA_RAW)

enum qc_compression {
	QC_COMPRESSION_ZLIB = 0, /* raw deflate, window of 12 bits */
	QC_COMPRESSION_ZSTD = 1,
};

enum qc_crypt {
	QC_CRYPT_NONE = 0,
	QC_CRYPT_AES = 1,
	QC_CRYPT_LUKS = 2,
};
