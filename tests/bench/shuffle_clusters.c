// SPDX-License-Identifier: MIT
/*
 * shuffle_clusters IMAGE: gives the data clusters of an image other places, as years of use would.
 * IMAGE has standard L2 entries and no snapshots, and all its clusters are stored, as
 * preallocation=metadata makes them; then every order of the L2 entries is a sound image. The order
 * is the same on every run.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/disk_layout.h"
#include "random/rng.h"

#define OFFSET_MASK UINT64_C(0x00fffffffffffe00)

struct tables {
	int fd;
	uint64_t count;	    /* of L2 tables */
	size_t table_bytes; /* of one */
	uint64_t *l1;	    /* host offsets */
	uint8_t *l2;	    /* all tables, one behind the other */
};

static void die(const char *what)
{
	fprintf(stderr, "shuffle_clusters: %s: %s\n", what, errno ? strerror(errno) : "unsuitable");
	exit(1);
}

static void *allocate(uint64_t count, size_t size)
{
	void *memory = calloc((size_t)count, size);

	if (!memory)
		die("memory");
	return memory;
}

static void read_at(int fd, void *to, size_t bytes, uint64_t offset)
{
	if (pread(fd, to, bytes, (off_t)offset) != (ssize_t)bytes)
		die("read");
}

static void load_l1(struct tables *t)
{
	struct qc_disk_header header;
	uint8_t entry[8];
	uint64_t l1;

	read_at(t->fd, &header, sizeof(header), 0);
	if (qc_be32_get(header.magic) != QC_MAGIC || qc_be32_get(header.nb_snapshots) != 0)
		die("header");
	l1 = qc_be64_get(header.l1_table_offset);
	t->count = qc_be32_get(header.l1_size);
	t->table_bytes = (size_t)1 << qc_be32_get(header.cluster_bits);
	t->l1 = allocate(t->count, sizeof(*t->l1));
	for (uint64_t i = 0; i < t->count; i++) {
		read_at(t->fd, entry, sizeof(entry), l1 + i * sizeof(entry));
		t->l1[i] = qc_load_be64(entry) & OFFSET_MASK;
		if (t->l1[i] == 0)
			die("L1 table");
	}
}

static void load_l2(struct tables *t)
{
	t->l2 = allocate(t->count, t->table_bytes);
	for (uint64_t i = 0; i < t->count; i++)
		read_at(t->fd, t->l2 + i * t->table_bytes, t->table_bytes, t->l1[i]);
}

/* Entries of the last table that lie behind the end of the disk are empty and stay there. */
static uint64_t entries_in_use(const struct tables *t)
{
	uint64_t count = t->count * (t->table_bytes / 8);

	while (count > 0 && qc_load_be64(t->l2 + (count - 1) * 8) == 0)
		count--;
	return count;
}

static void shuffle(struct tables *t)
{
	struct rng rng = {20};
	uint8_t kept[8];

	for (uint64_t i = entries_in_use(t); i > 1; i--) {
		uint8_t *a = t->l2 + (i - 1) * 8;
		uint8_t *b = t->l2 + rng_below(&rng, i) * 8;

		if (qc_load_be64(a) == 0)
			die("L2 table");
		memcpy(kept, a, 8);
		memmove(a, b, 8);
		memcpy(b, kept, 8);
	}
}

static void store_l2(const struct tables *t)
{
	for (uint64_t i = 0; i < t->count; i++)
		if (pwrite(t->fd, t->l2 + i * t->table_bytes, t->table_bytes, (off_t)t->l1[i])
		    != (ssize_t)t->table_bytes)
			die("write");
}

int main(int argc, char **argv)
{
	struct tables tables = {0};

	if (argc != 2) {
		fprintf(stderr, "usage: shuffle_clusters IMAGE\n");
		return 64;
	}
	tables.fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (tables.fd < 0)
		die(argv[1]);
	load_l1(&tables);
	load_l2(&tables);
	shuffle(&tables);
	store_l2(&tables);
	free(tables.l1);
	free(tables.l2);
	if (close(tables.fd) < 0)
		die("close");
	return 0;
}
