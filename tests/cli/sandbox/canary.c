// SPDX-License-Identifier: MIT
/*
 * To be preloaded into a program: at its end, when it is as locked down as it will ever be, tries what a
 * program taken over by its input would try, and writes to descriptor CANARY_FD what worked.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(int fd, const char *text, int worked)
{
	dprintf(fd, "%s %s\n", text, worked ? "works" : "fails");
}

__attribute__((destructor)) static void sing(void)
{
	const char *number = getenv("CANARY_FD");
	int fd = number ? (int)strtol(number, NULL, 10) : -1;

	if (fd < 0)
		return;
	say(fd, "open", open("/dev/null", O_RDONLY) >= 0);
	say(fd, "create", open("canary-was-here", O_WRONLY | O_CREAT, 0600) >= 0);
	say(fd, "socket", socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	/* If this works, the other program ends the list. */
	execl("/bin/sh", "sh", "-c", "echo exec works >&$CANARY_FD", (char *)NULL);
	say(fd, "exec", 0);
}
