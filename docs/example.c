// SPDX-License-Identifier: MIT
/* Takes a snapshot, signs the boot sector, lists what is stored and checks the image; see LIBRARY.md. */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <qcowtool/qcowtool.h>

static struct qcowtool_error error;

/* A program may end anywhere: an edit that is not committed has not happened. */
static void must(int result)
{
	if (result < 0)
		errx(1, "%s", error.text);
}

int main(int argc, char **argv)
{
	const char *path = argc == 2 ? argv[1] : "";
	struct qcowtool_image *image;
	struct qcowtool_edit *edit;
	struct qcowtool_extent e;
	struct qcowtool_check c;

	must(qcowtool_snapshot_create(path, "unsigned", (uint32_t)time(NULL), 0, &error));
	must(qcowtool_begin(path, 0, &edit, &error));
	must(qcowtool_write(edit, 0x1fe, "\x55\xaa", 2, &error));
	must(qcowtool_commit(edit, NULL, &error));
	must(qcowtool_open(path, NULL, 0, &image, &error));
	for (uint64_t at = 0; at < qcowtool_disk_bytes(image); at += e.bytes) {
		must(qcowtool_map(image, at, UINT64_MAX, &e, &error));
		if (e.flags & QCOWTOOL_EXTENT_DATA)
			printf("%" PRIu64 " bytes at %" PRIu64 "\n", e.bytes, at);
	}
	qcowtool_close(image);
	must(qcowtool_check(path, 0, NULL, NULL, &c, &error));
	printf("%" PRIu64 " corruptions, %" PRIu64 " leaks\n", c.corruptions, c.leaks);
	return c.corruptions > 0;
}
