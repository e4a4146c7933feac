// SPDX-License-Identifier: MIT
#include "cmd/foreign.h"

#include <string.h>

static const char format[] = "an image is always qcow2 here, so leave it out";
static const char cache[] = "there are no cache modes here, so leave it out";
static const char jobs[] = "-j says how many threads work";
static const char reader[] = "it is for commands that only read";

/* Only what a command does not have is looked for here. */
static const struct {
	const char *command; /* NULL: any */
	const char *option;
	const char *advice;
} foreign[] = {
	{"snapshot-cow", "l", "the verb is a word: list IMAGE"},
	{"snapshot-cow", "c", "the verb is a word: create IMAGE NAME"},
	{"snapshot-cow", "a", "the verb is a word: apply IMAGE NAME|ID"},
	{"snapshot-cow", "d", "the verb is a word: delete IMAGE NAME|ID"},
	{"create", "u", "the backing file must be there; qemu-img create -u does without"},
	{"decompress", "m", jobs},
	{"read", "O", "what is read is raw, so leave it out"},
	{"read", "m", jobs},
	{"read", "output", "bytes go to stdout or, with -o, to a file"},
	{"decompress", "U", reader},
	{"rebase", "U", reader},
	{"write", "U", reader},
	{NULL, "f", format},
	{NULL, "format", format},
	{NULL, "t", cache},
	{NULL, "T", cache},
	{NULL, "cache", cache},
	{NULL, "object", "no keys are taken here; qemu-img takes them"},
	{NULL, "image-opts", "a name here is a path; qemu-img takes options"},
};

static int is_for(const char *command, const char *wanted)
{
	const char *name = strrchr(command, ' ');

	return !wanted || (name && strcmp(name + 1, wanted) == 0);
}

const char *foreign_advice(const char *command, const char *option, size_t length)
{
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strlen(foreign[i].option) == length
		    && memcmp(foreign[i].option, option, length) == 0
		    && is_for(command, foreign[i].command))
			return foreign[i].advice;
	return NULL;
}
