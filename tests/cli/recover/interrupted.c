// SPDX-License-Identifier: MIT
/*
 * interrupted IMAGE STATE: writes to IMAGE what a crash in the middle of a transaction leaves. The
 * transaction fills the guest's first 64 KiB with 0x5a and discards as much at 256 KiB; for grown-I
 * the disk becomes a MiB longer, too.
 *
 *	before	the machine stopped between the journal and the one write of sector 0
 *	after	it stopped after that write, before freed space was given back
 *	torn-I	like after, but only the first I bytes of that write arrived
 *	grown-I	likewise
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file_mem.h"
#include "io/file_posix.h"
#include "support/fault_file.h"
#include "txn/txn.h"

#define PATCH_BYTES ((size_t)64 << 10)

static void die_unless(int status, const struct qc_err *err)
{
	if (status == 0)
		return;
	fprintf(stderr, "interrupted: %s\n", err->text);
	exit(1);
}

static int edit(struct qc_file *file, bool grow, struct qc_err *err)
{
	static const struct qc_txn_options options;
	static uint8_t bytes[PATCH_BYTES];
	struct qc_txn_report report;
	struct qc_image *image;
	struct qc_txn *txn;
	int status;

	memset(bytes, 0x5a, sizeof(bytes));
	die_unless(qc_image_open(file, NULL, &image, err), err);
	die_unless(qc_txn_begin(image, NULL, &options, &txn, err), err);
	die_unless(qc_txn_write(txn, qc_guest(0), bytes, sizeof(bytes), err), err);
	die_unless(qc_txn_discard(txn, qc_guest(4 * PATCH_BYTES), PATCH_BYTES, err), err);
	if (grow)
		die_unless(qc_txn_grow(txn, image->header.disk_bytes + (1 << 20), err), err);
	status = qc_txn_commit(txn, &report, err);
	qc_image_close(image);
	return status;
}

/* The syncs of a commit are two: the first is before the one write, the second behind it. */
static void crash(struct qc_file *image, uint64_t at_sync, bool grow, struct qc_err *err)
{
	struct fault_plan plan = {.calls = FAULT_SYNC, .at = at_sync, .os_errno = 5};
	struct qc_file *fault = fault_file_open(image, &plan);

	(void)edit(fault, grow, err);
	qc_file_close(fault);
}

/* Reads a whole file. */
static void load(const char *path, struct qc_file *to, struct qc_err *err)
{
	struct qc_file_open how = {.lock = QC_LOCK_NONE};
	uint8_t buffer[4096];
	struct qc_file *from;

	die_unless(qc_file_posix_open(path, &how, &from, err), err);
	for (uint64_t at = 0; at < from->bytes; at += sizeof(buffer)) {
		size_t now = from->bytes - at < sizeof(buffer) ? (size_t)(from->bytes - at)
							       : sizeof(buffer);

		die_unless(qc_file_read(from, at, buffer, now, err), err);
		die_unless(qc_file_write(to, at, buffer, now, err), err);
	}
	qc_file_close(from);
}

static void save(const struct qc_file *from, const char *path)
{
	FILE *to = fopen(path, "wb");

	if (!to || fwrite(qc_file_mem_bytes(from), 1, (size_t)from->bytes, to) != from->bytes
	    || fclose(to) != 0) {
		perror(path);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	uint8_t before[512];
	struct qc_file *image;
	struct qc_err err;
	bool grow;

	if (argc != 3) {
		fprintf(stderr, "usage: interrupted IMAGE before|after|torn-BYTES|grown-BYTES\n");
		return 64;
	}
	grow = strncmp(argv[2], "grown-", 6) == 0;
	die_unless(qc_file_mem_open(NULL, 0, &image, &err), &err);
	load(argv[1], image, &err);
	die_unless(qc_file_read(image, 0, before, sizeof(before), &err), &err);
	/* After the sync that makes what was loaded durable, and the barrier. */
	crash(image, 2, grow, &err);
	if (strcmp(argv[2], "before") == 0)
		die_unless(qc_file_write(image, 0, before, sizeof(before), &err), &err);
	if (grow || strncmp(argv[2], "torn-", 5) == 0) {
		size_t arrived = (size_t)strtoul(strchr(argv[2], '-') + 1, NULL, 10);

		die_unless(qc_file_write(image, arrived, before + arrived, sizeof(before) - arrived,
					 &err),
			   &err);
	}
	save(image, argv[1]);
	qc_file_close(image);
	return 0;
}
