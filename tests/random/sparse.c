// SPDX-License-Identifier: MIT
#include "random/sparse.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)256 << 10)

static uint8_t chunks[2][CHUNK_BYTES];

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0666);

	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

static void read_all(int fd, uint64_t at, uint8_t *bytes, size_t length)
{
	while (length > 0) {
		ssize_t got = pread(fd, bytes, length, (off_t)at);

		if (got < 0)
			err(2, "read");
		if (got == 0) {
			memset(bytes, 0, length);
			return;
		}
		at += (uint64_t)got;
		bytes += got;
		length -= (size_t)got;
	}
}

static void write_all(int fd, uint64_t at, const uint8_t *bytes, size_t length)
{
	while (length > 0) {
		ssize_t put = pwrite(fd, bytes, length, (off_t)at);

		if (put < 0)
			err(2, "write");
		at += (uint64_t)put;
		bytes += put;
		length -= (size_t)put;
	}
}

void sparse_create(const char *path, uint64_t bytes)
{
	close(open_or_die(path, O_WRONLY | O_CREAT | O_TRUNC));
	sparse_resize(path, bytes);
}

void sparse_resize(const char *path, uint64_t bytes)
{
	if (truncate(path, (off_t)bytes) < 0)
		err(2, "%s", path);
}

uint64_t sparse_bytes(const char *path)
{
	struct stat info;

	if (stat(path, &info) < 0)
		err(2, "%s", path);
	return (uint64_t)info.st_size;
}

void sparse_write(const char *path, uint64_t at, const void *bytes, size_t length)
{
	int fd = open_or_die(path, O_WRONLY);

	write_all(fd, at, bytes, length);
	close(fd);
}

void sparse_fill(const char *path, uint64_t at, uint8_t byte, uint64_t length)
{
	int fd = open_or_die(path, O_WRONLY);

	memset(chunks[0], byte, CHUNK_BYTES);
	while (length > 0) {
		size_t now = length < CHUNK_BYTES ? (size_t)length : CHUNK_BYTES;

		write_all(fd, at, chunks[0], now);
		at += now;
		length -= now;
	}
	close(fd);
}

void sparse_zero(const char *path, uint64_t at, uint64_t length)
{
	int fd = open_or_die(path, O_WRONLY);

	if (length > 0
	    && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)length)
		       < 0)
		sparse_fill(path, at, 0, length);
	close(fd);
}

void sparse_read(const char *path, uint64_t at, void *bytes, size_t length)
{
	int fd = open_or_die(path, O_RDONLY);

	read_all(fd, at, bytes, length);
	close(fd);
}

/* The first offset from `at` on that may hold anything but zeroes; `bytes` if there is none. */
static uint64_t next_data(int fd, uint64_t at, uint64_t bytes)
{
	off_t found = lseek(fd, (off_t)at, SEEK_DATA);

	if (found < 0 && errno != ENXIO)
		return at;
	return found < 0 || (uint64_t)found > bytes ? bytes : (uint64_t)found;
}

uint64_t sparse_next_data(const char *path, uint64_t at)
{
	uint64_t bytes = sparse_bytes(path), found;
	int fd = open_or_die(path, O_RDONLY);

	found = next_data(fd, at, bytes);
	close(fd);
	return found;
}

void sparse_copy(const char *from, const char *to)
{
	uint64_t bytes = sparse_bytes(from);
	int in = open_or_die(from, O_RDONLY), out;

	sparse_create(to, bytes);
	out = open_or_die(to, O_WRONLY);
	for (uint64_t at = next_data(in, 0, bytes); at < bytes; at = next_data(in, at, bytes)) {
		uint64_t left = CHUNK_BYTES - at % CHUNK_BYTES;
		size_t now = (size_t)(left < bytes - at ? left : bytes - at);

		read_all(in, at, chunks[0], now);
		write_all(out, at, chunks[0], now);
		at += now;
	}
	close(in);
	close(out);
}

/* Where the chunks differ, `length` if nowhere. */
static size_t first_difference(const uint8_t *one, const uint8_t *other, size_t length)
{
	size_t at = 0;

	if (memcmp(one, other, length) == 0)
		return length;
	while (one[at] == other[at])
		at++;
	return at;
}

bool sparse_same(const char *one, const char *other, uint64_t bytes, uint64_t *ret_at)
{
	int left = open_or_die(one, O_RDONLY), right = open_or_die(other, O_RDONLY);
	uint64_t at = 0;
	bool same = true;

	while (same && at < bytes) {
		uint64_t here = next_data(left, at, bytes), there = next_data(right, at, bytes);
		size_t now, equal;

		at = here < there ? here : there;
		now = (size_t)(bytes - at < CHUNK_BYTES ? bytes - at : CHUNK_BYTES);
		read_all(left, at, chunks[0], now);
		read_all(right, at, chunks[1], now);
		equal = first_difference(chunks[0], chunks[1], now);
		same = equal == now;
		at += equal;
	}
	*ret_at = at;
	close(left);
	close(right);
	return same;
}

bool sparse_same_file(const char *one, const char *other)
{
	uint64_t bytes = sparse_bytes(one), at;

	return bytes == sparse_bytes(other) && sparse_same(one, other, bytes, &at);
}
