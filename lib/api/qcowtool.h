// SPDX-License-Identifier: MIT
/*
 * libqcowtool: looks at qcow2 images (version 2 and 3) at rest, and changes them in transactions: all
 * edits between begin and commit take effect together, in one write of one 512-byte sector, or not
 * at all, whatever crashes in between.
 *
 *	struct qcowtool_error error;
 *	struct qcowtool_edit *edit;
 *
 *	if (qcowtool_begin("disk.qcow2", 0, &edit, &error) < 0)
 *		... error.text is one line that a person can act on
 *	if (qcowtool_write(edit, 0x1be, entry, sizeof(entry), &error) < 0
 *	    || qcowtool_write(edit, 0x1fe, "\x55\xaa", 2, &error) < 0)
 *		qcowtool_abort(edit);		the image is as it was
 *	else if (qcowtool_commit(edit, NULL, &error) < 0)
 *		...				likewise; but see QCOWTOOL_E_OUTCOME_UNKNOWN
 *
 * Units: offsets and lengths are bytes of the disk that a guest sees, unless something else is said.
 * Results: 0, or the negated enum qcowtool_code with *error filled in; `error` may be NULL. What a
 * function would have returned through a pointer is untouched then, and nothing has to be closed.
 * Locks: images are locked as QEMU locks them: readers keep writers out, an edit keeps everybody out.
 * Threads: an object is for one thread at a time; different objects do not know of each other.
 * The library prints nothing, handles no signals and keeps no state outside of its objects.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum qcowtool_code {
	QCOWTOOL_E_IO = 1,	/* a file cannot be opened, read, written, resized or synced */
	QCOWTOOL_E_NO_SPACE,	/* disk full, quota, file size limit, no free cluster can exist */
	QCOWTOOL_E_NO_MEMORY,	/* an allocation failed */
	QCOWTOOL_E_ARGUMENT,	/* the call makes no sense */
	QCOWTOOL_E_RANGE,	/* past the end of the disk */
	QCOWTOOL_E_NOT_FOUND,	/* no such file or snapshot */
	QCOWTOOL_E_EXISTS,	/* not used by these functions */
	QCOWTOOL_E_LOCKED,	/* somebody else uses the image */
	QCOWTOOL_E_FORMAT,	/* no qcow2 image, or its metadata cannot be trusted */
	QCOWTOOL_E_UNSUPPORTED, /* valid, but this library does not do it */
	QCOWTOOL_E_POLICY,	/* a backing or data file that the flags do not allow */
	QCOWTOOL_E_MISMATCH,	/* likewise not used */
	QCOWTOOL_E_INTERRUPTED, /* likewise */
	QCOWTOOL_E_CHANGED,	/* somebody ignored the lock and changed the image meanwhile */
	/* The last sync of a commit failed: the image is exactly the old or exactly the new one. */
	QCOWTOOL_E_OUTCOME_UNKNOWN,
};

struct qcowtool_error {
	int code;	 /* enum qcowtool_code */
	int os_errno;	 /* errno behind it, 0 if there was none */
	char text[1024]; /* one line in English, without the image's name and without a newline */
};

/* Flags. Each function says which it takes; others are QCOWTOOL_E_ARGUMENT. */
enum {
	QCOWTOOL_FORCE_SHARE = 1 << 0, /* read even while a virtual machine uses the image */
	/* Which files an image may name: any that is a plain path; or with these, */
	QCOWTOOL_CHAIN_DIR = 1 << 1,  /* only those in or below the image's own folder; */
	QCOWTOOL_CHAIN_NONE = 1 << 2, /* none. For images from strangers. */
	QCOWTOOL_NO_SYNC = 1 << 3,    /* skip every sync: a power failure may destroy the image */
	QCOWTOOL_DRY_RUN = 1 << 4,    /* do all of it, but on a temporary copy of what changes */
	QCOWTOOL_COMPRESS = 1 << 5,   /* store clusters that one write covers whole compressed */
	QCOWTOOL_DEEP = 1 << 6,	      /* decompress every compressed cluster, too */
};

/* --- looking at an image ------------------------------------------------------------------------ */

struct qcowtool_image;

/*
 * Opens the image at `path` with its backing files for reading. `snapshot` (NULL: the disk as it is
 * now) is the id or else the name of an internal snapshot, whose disk is then what is seen.
 * Flags: FORCE_SHARE, CHAIN_DIR, CHAIN_NONE. Whatever an image says, it costs at most about 100 MiB
 * of memory; so does each of its backing files, of which there are at most 200 in a chain.
 */
int qcowtool_open(const char *path, const char *snapshot, unsigned int flags,
		  struct qcowtool_image **ret, struct qcowtool_error *error);
void qcowtool_close(struct qcowtool_image *image); /* NULL is fine */

/* The length of the disk that is seen. */
uint64_t qcowtool_disk_bytes(const struct qcowtool_image *image);

/* Fills `buffer` with [at, at + length), which must be on the disk (else QCOWTOOL_E_RANGE). */
int qcowtool_read(struct qcowtool_image *image, uint64_t at, void *buffer, size_t length,
		  struct qcowtool_error *error);

enum {
	QCOWTOOL_EXTENT_PRESENT = 1 << 0,    /* a file says what is here; else it reads as zeroes */
	QCOWTOOL_EXTENT_ZERO = 1 << 1,	     /* reads as zeroes without being looked at */
	QCOWTOOL_EXTENT_DATA = 1 << 2,	     /* bytes are stored */
	QCOWTOOL_EXTENT_COMPRESSED = 1 << 3, /* ... compressed */
	QCOWTOOL_EXTENT_HOST = 1 << 4,	     /* `host` is valid */
};

struct qcowtool_extent {
	uint64_t bytes; /* how far this goes, 1 or more */
	uint64_t host;	/* where the first byte is in `file` */
	uint32_t depth; /* 0: in the image itself, 1: in its backing file, ... */
	uint32_t flags; /* QCOWTOOL_EXTENT_... */
	const char *
		file; /* which holds the bytes; NULL unless HOST; lives until the image is closed */
};

/*
 * What is at `at` (below the disk's length; else QCOWTOOL_E_RANGE), and for how many bytes, of which
 * `max_bytes` (1 or more) are of interest. Neighbours may be alike: extents need not be as long as
 * they could be.
 */
int qcowtool_map(struct qcowtool_image *image, uint64_t at, uint64_t max_bytes,
		 struct qcowtool_extent *ret, struct qcowtool_error *error);

struct qcowtool_snapshot {
	const char *id, *name;	      /* live until the image is closed */
	uint64_t disk_bytes;	      /* of the disk then */
	uint64_t vm_state_bytes;      /* 0: the disk alone */
	uint32_t date_sec, date_nsec; /* since 1970-01-01 00:00 UTC */
};

/* Snapshot number `index`, counted from 0; QCOWTOOL_E_NOT_FOUND when there are no more. */
int qcowtool_snapshot_get(const struct qcowtool_image *image, size_t index,
			  struct qcowtool_snapshot *ret, struct qcowtool_error *error);

/* --- changing an image -------------------------------------------------------------------------- */

struct qcowtool_edit;

/*
 * Begins a transaction on the image at `path`, which is locked until it ends. What an earlier crash
 * left is settled first. Reads all tables of the image once, to find space that is free.
 * Flags: CHAIN_DIR, CHAIN_NONE, NO_SYNC, DRY_RUN, COMPRESS.
 *
 * Refused, among others: images that are marked corrupt, encrypted images (QCOWTOOL_E_UNSUPPORTED).
 * After a call that failed the transaction can only be aborted; others fail with QCOWTOOL_E_ARGUMENT.
 */
int qcowtool_begin(const char *path, unsigned int flags, struct qcowtool_edit **ret,
		   struct qcowtool_error *error);

/* The length of the disk, as the transaction would leave it. */
uint64_t qcowtool_edit_disk_bytes(const struct qcowtool_edit *edit);

/* Reads what the transaction would leave. QCOWTOOL_E_RANGE past the end of the disk, as all below. */
int qcowtool_edit_read(struct qcowtool_edit *edit, uint64_t at, void *buffer, size_t length,
		       struct qcowtool_error *error);

/* [at, at + length) becomes `bytes`; any offset, any length. */
int qcowtool_write(struct qcowtool_edit *edit, uint64_t at, const void *bytes, size_t length,
		   struct qcowtool_error *error);

/* It becomes zeroes, stored as a mark where the image can. */
int qcowtool_zero(struct qcowtool_edit *edit, uint64_t at, uint64_t length,
		  struct qcowtool_error *error);

/* It becomes zeroes, and what whole clusters occupied is given back. */
int qcowtool_discard(struct qcowtool_edit *edit, uint64_t at, uint64_t length,
		     struct qcowtool_error *error);

/* The disk becomes that long, or stays as it is if it is longer; the new part reads as zeroes. */
int qcowtool_grow(struct qcowtool_edit *edit, uint64_t disk_bytes, struct qcowtool_error *error);

struct qcowtool_report {
	uint64_t bytes_written;	     /* by write and zero */
	uint64_t clusters_allocated; /* for guest bytes */
	uint64_t clusters_freed;     /* likewise */
	int changed;		     /* 0: there was nothing to do, and nothing was written */
};

/* Makes it so, durably. `edit` is gone whether this fails or not. `ret` may be NULL. */
int qcowtool_commit(struct qcowtool_edit *edit, struct qcowtool_report *ret,
		    struct qcowtool_error *error);

/* Leaves the image as it was. `edit` is gone. NULL is fine. */
void qcowtool_abort(struct qcowtool_edit *edit);

/* --- snapshots ---------------------------------------------------------------------------------- */

/*
 * Each is a transaction of its own on the image at `path`. Flags: NO_SYNC, DRY_RUN. Snapshots are
 * named by id or else by name; a new name is 1 to 65535 bytes long and need not be unique.
 */

/* The date is in seconds since 1970-01-01 00:00 UTC. */
int qcowtool_snapshot_create(const char *path, const char *name, uint32_t date_sec,
			     unsigned int flags, struct qcowtool_error *error);

/* The disk becomes what it was then, its length included. */
int qcowtool_snapshot_apply(const char *path, const char *snapshot, unsigned int flags,
			    struct qcowtool_error *error);
int qcowtool_snapshot_delete(const char *path, const char *snapshot, unsigned int flags,
			     struct qcowtool_error *error);
int qcowtool_snapshot_rename(const char *path, const char *snapshot, const char *name,
			     unsigned int flags, struct qcowtool_error *error);

/* --- checking an image -------------------------------------------------------------------------- */

enum qcowtool_severity {
	QCOWTOOL_NOTE,	     /* worth saying; the image is sound */
	QCOWTOOL_LEAK,	     /* wasted space */
	QCOWTOOL_CORRUPTION, /* wrong, or wrong after the next write */
};

#define QCOWTOOL_NOWHERE UINT64_MAX

struct qcowtool_finding {
	const char *id;	     /* "refcount-too-low"; never changes its meaning */
	int severity;	     /* enum qcowtool_severity */
	uint64_t host;	     /* where in the file; or QCOWTOOL_NOWHERE */
	uint64_t guest;	     /* where on the disk; likewise */
	const char *message; /* one line */
};

struct qcowtool_check {
	uint64_t corruptions, leaks;
	uint64_t unchecked;	     /* parts that could not be looked at; not 0: not finished */
	uint64_t total_clusters;     /* of the disk; of these, */
	uint64_t allocated_clusters; /* those that are stored, */
	uint64_t compressed_clusters, fragmented_clusters;
	uint64_t findings_omitted; /* beyond the first ones, which were passed on */
};

/*
 * Looks for corruption and leaks in the image at `path`, and in no other file. `take` (or NULL) gets
 * each finding, which it may not keep, in the order in which they come up. An image with corruption
 * is no error: *ret says so. QCOWTOOL_DEEP uses a thread for each core. Flags: FORCE_SHARE, DEEP.
 */
int qcowtool_check(const char *path, unsigned int flags,
		   void (*take)(void *context, const struct qcowtool_finding *finding),
		   void *context, struct qcowtool_check *ret, struct qcowtool_error *error);

#ifdef __cplusplus
}
#endif
