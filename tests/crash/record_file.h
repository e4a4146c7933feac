// SPDX-License-Identifier: MIT
/* A file that passes everything on to the one below and writes down what changes it. */
#pragma once

#include "crash/log.h"
#include "io/file.h"

/*
 * `lower` and `log` are borrowed and must outlive the file, which qc_file_close() takes away. The
 * number is that of the file in the log.
 */
struct qc_file *record_file_open(struct qc_file *lower, unsigned int number, struct crash_log *log);
