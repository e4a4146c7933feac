// SPDX-License-Identifier: MIT
/* Takes a snapshot, signs the boot sector, lists what is stored and checks the image; see LIBRARY.md. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <qcowtool/qcowtool.h>

static struct qcowtool_error error;

static int sign(const char *path)
{
	struct qcowtool_edit *edit;

	if (qcowtool_snapshot_create(path, "unsigned", (uint32_t)time(NULL), 0, &error) < 0
	    || qcowtool_begin(path, 0, &edit, &error) < 0)
		return -1;
	if (qcowtool_write(edit, 0x1fe, "\x55\xaa", 2, &error) == 0)
		return qcowtool_commit(edit, NULL, &error);
	qcowtool_abort(edit);
	return -1;
}

static int list(const char *path)
{
	struct qcowtool_extent extent = {.bytes = 0};
	struct qcowtool_image *image;
	int status = 0;

	if (qcowtool_open(path, NULL, 0, &image, &error) < 0)
		return -1;
	for (uint64_t at = 0; status == 0 && at < qcowtool_disk_bytes(image); at += extent.bytes) {
		status = qcowtool_map(image, at, UINT64_MAX, &extent, &error);
		if (status == 0 && (extent.flags & QCOWTOOL_EXTENT_DATA))
			printf("%" PRIu64 " bytes at %" PRIu64 "\n", extent.bytes, at);
	}
	qcowtool_close(image);
	return status;
}

int main(int argc, char **argv)
{
	struct qcowtool_check check;

	if (argc != 2 || sign(argv[1]) < 0 || list(argv[1]) < 0
	    || qcowtool_check(argv[1], 0, NULL, NULL, &check, &error) < 0) {
		fprintf(stderr, "example: %s\n", argc == 2 ? error.text : "which image?");
		return 1;
	}
	printf("%" PRIu64 " corruptions, %" PRIu64 " leaks\n", check.corruptions, check.leaks);
	return check.corruptions > 0;
}
