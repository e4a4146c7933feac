// SPDX-License-Identifier: MIT
/*
 * The locks by which QEMU's processes and this program keep out of each other's way: shared
 * one-byte locks at offsets that stand for "uses this right" and "lets nobody else have it".
 */
#pragma once

#include "base/err.h"
#include "io/file_posix.h"

/*
 * Takes the locks of `mode` on an open image, never waiting for anybody but a device manager's
 * probe. They go when the last descriptor of this open file is closed, so there is no unlock.
 * QC_E_LOCKED if somebody else's use conflicts; QC_E_UNSUPPORTED if a writer cannot be kept safe
 * because the file system knows no locks at all.
 */
int qc_lock_posix(int fd, enum qc_lock mode, struct qc_err *err);
