// SPDX-License-Identifier: MIT
/*
 * To be preloaded into a program: writes to descriptor OPENS_FD the name of each file that the program
 * opens or tries to, one a line, and "connect" for each connection.
 */
/* The C library's header would put other names in place of those that are defined here. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void note(const char *name, int flags)
{
	const char *number = getenv("OPENS_FD");

	/* A file without a name holds what is on its way; its folder's name says nothing. */
	if (number && (flags & O_TMPFILE) != O_TMPFILE)
		dprintf((int)strtol(number, NULL, 10), "%s\n", name);
}

static int open_at(int folder, const char *name, int flags, va_list args)
{
	mode_t mode = 0;

	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)
		mode = va_arg(args, mode_t);
	note(name, flags);
	return (int)syscall(SYS_openat, folder, name, flags | O_LARGEFILE, mode);
}

int open(const char *name, int flags, ...)
{
	va_list args;
	int fd;

	va_start(args, flags);
	fd = open_at(AT_FDCWD, name, flags, args);
	va_end(args);
	return fd;
}

int openat(int folder, const char *name, int flags, ...)
{
	va_list args;
	int fd;

	va_start(args, flags);
	fd = open_at(folder, name, flags, args);
	va_end(args);
	return fd;
}

int open64(const char *name, int flags, ...) __attribute__((alias("open")));
int openat64(int folder, const char *name, int flags, ...) __attribute__((alias("openat")));

/* What a fortified program calls where flags are not constant. */
int __open_2(const char *name, int flags);
int __openat_2(int folder, const char *name, int flags);
int __open64_2(const char *name, int flags) __attribute__((alias("__open_2")));
int __openat64_2(int folder, const char *name, int flags) __attribute__((alias("__openat_2")));

int __open_2(const char *name, int flags)
{
	return open(name, flags);
}

int __openat_2(int folder, const char *name, int flags)
{
	return openat(folder, name, flags);
}

FILE *fopen(const char *name, const char *mode)
{
	FILE *(*next)(const char *, const char *);

	*(void **)&next = dlsym(RTLD_NEXT, "fopen");
	note(name, 0);
	return next(name, mode);
}

FILE *fopen64(const char *name, const char *mode) __attribute__((alias("fopen")));

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	note("connect", 0);
	return (int)syscall(SYS_connect, fd, address, length);
}
