// SPDX-License-Identifier: MIT
/* Takes a snapshot, signs the boot sector, lists what is stored and checks the image; see LIBRARY.md. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <qcowtool/qcowtool.h>

static int sign(const char *path, struct qcowtool_error *error)
{
	struct qcowtool_edit *edit;
	int r = qcowtool_snapshot_create(path, "unsigned", (uint32_t)time(NULL), 0, error);

	if (r == 0 && (r = qcowtool_begin(path, 0, &edit, error)) == 0) {
		if ((r = qcowtool_write(edit, 0x1fe, "\x55\xaa", 2, error)) == 0)
			return qcowtool_commit(edit, NULL, error);
		qcowtool_abort(edit);
	}
	return r;
}

static int list(const char *path, struct qcowtool_error *error)
{
	struct qcowtool_extent e = {0};
	struct qcowtool_image *image = NULL;
	int r = qcowtool_open(path, NULL, 0, &image, error);

	for (uint64_t at = 0; r == 0 && at < qcowtool_disk_bytes(image); at += e.bytes)
		if ((r = qcowtool_map(image, at, UINT64_MAX, &e, error)) == 0 &&
		    (e.flags & QCOWTOOL_EXTENT_DATA))
			printf("%" PRIu64 " bytes at %" PRIu64 "\n", e.bytes, at);
	qcowtool_close(image);
	return r;
}

int main(int argc, char **argv)
{
	struct qcowtool_error error = {.text = "which image?"};
	struct qcowtool_check c;

	if (argc == 2 && sign(argv[1], &error) == 0 && list(argv[1], &error) == 0 &&
	    qcowtool_check(argv[1], 0, NULL, NULL, &c, &error) == 0) {
		printf("%" PRIu64 " corruptions, %" PRIu64 " leaks\n", c.corruptions, c.leaks);
		return c.corruptions > 0;
	}
	fprintf(stderr, "example: %s\n", error.text);
	return 1;
}
