// SPDX-License-Identifier: MIT
#include "crash/folder.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash/must.h"

#define NAMES_MAX 8

static struct {
	pid_t owner;
	char path[64];
	struct {
		char name[16];
		char path[96];
	} files[NAMES_MAX];
	size_t count;
} folder;

void image_bytes_copy(struct image_bytes *to, const uint8_t *bytes, uint64_t size)
{
	to->bytes = malloc((size_t)size);
	must(to->bytes);
	memcpy(to->bytes, bytes, (size_t)size);
	to->size = size;
}

void image_bytes_clear(struct image_bytes *image)
{
	free(image->bytes);
	*image = (struct image_bytes){0};
}

static void clean_up(void)
{
	if (folder.owner != getpid())
		return;
	for (size_t i = 0; i < folder.count; i++)
		unlink(folder.files[i].path);
	rmdir(folder.path);
}

static void make_folder(void)
{
	const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir;

	memset(&folder, 0, sizeof(folder));
	folder.owner = getpid();
	snprintf(folder.path, sizeof(folder.path), "%s/crash.XXXXXX", parent);
	must(mkdtemp(folder.path));
	must(atexit(clean_up) == 0);
}

const char *folder_path(const char *name)
{
	size_t i;

	if (folder.owner != getpid())
		make_folder();
	for (i = 0; i < folder.count; i++)
		if (strcmp(folder.files[i].name, name) == 0)
			return folder.files[i].path;
	must(i < NAMES_MAX && strlen(name) < sizeof(folder.files[i].name));
	snprintf(folder.files[i].name, sizeof(folder.files[i].name), "%s", name);
	snprintf(folder.files[i].path, sizeof(folder.files[i].path), "%s/%s", folder.path, name);
	folder.count++;
	return folder.files[i].path;
}

/* The file stays the same one, so that putting another image costs no more than its bytes. */
void folder_put(const char *name, const uint8_t *bytes, uint64_t size)
{
	int fd = open(folder_path(name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	must(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	for (uint64_t done = 0; done < size;) {
		ssize_t now = pwrite(fd, bytes + done, (size_t)(size - done), (off_t)done);

		must(now > 0);
		done += (uint64_t)now;
	}
	close(fd);
}

void folder_get(const char *name, struct image_bytes *ret)
{
	int fd = open(folder_path(name), O_RDONLY | O_CLOEXEC);
	struct stat st;

	must(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0);
	if (ret->size != (uint64_t)st.st_size) {
		ret->size = (uint64_t)st.st_size;
		ret->bytes = realloc(ret->bytes, (size_t)ret->size);
		must(ret->bytes);
	}
	must(pread(fd, ret->bytes, (size_t)ret->size, 0) == st.st_size);
	close(fd);
}
