// SPDX-License-Identifier: MIT
/* Finds the command, runs it, and makes sure that what it printed arrived. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/interrupt.h"
#include "cmd/progress.h"
#include "cmd/suggest.h"
#include "io/sandbox.h"

/* In the order of the manual: look, then change, then mend. */
static const struct command commands[] = {
	{"info", "show what an image says about itself", cmd_info, false},
	{"map", "show what each part of the disk is", cmd_map, false},
	{"read", "copy bytes out of the disk", cmd_read, false},
	{"hash", "print a digest of the disk's contents and size", cmd_hash, false},
	{"compare", "tell whether two images show a guest the same", cmd_compare, false},
	{"create", "make a new image", cmd_create, true},
	{"write", "change bytes of the disk, all of them or none", cmd_write, true},
	{"rebase", "put an image on another backing file, or on none", cmd_rebase, true},
	{"snapshot-cow", "create, list, apply, delete or rename internal snapshots",
	 cmd_snapshot_cow, true},
	{"decompress", "make compressed clusters plain ones, in place", cmd_decompress, true},
	{"check", "look for corruption and leaks", cmd_check, false},
	{"recover", "show and settle an interrupted transaction", cmd_recover, true},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static int show_help(void)
{
	puts("Usage: qcowtool [--version] [--help] COMMAND [OPTION...] IMAGE [ARGUMENT...]\n"
	     "Work on qcow2 disk images that no virtual machine is using.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		printf("  %-14s %s\n", commands[i].name, commands[i].summary);
	puts("\n"
	     "`qcowtool COMMAND --help` shows the options of a command, `man qcowtool-COMMAND`\n"
	     "all about it.\n"
	     "Exit status: 0 done or clean, 1 failed and nothing changed, 2 corrupt (check),\n"
	     "3 leaks only (check), 4 outcome of the commit unknown, 64 wrong usage.");
	return EXIT_DONE;
}

static int show_version(void)
{
	unsigned int parts = qc_sandbox_offers();

	puts("qcowtool " QC_VERSION);
	printf("sandbox: limits%s%s\n", parts & QC_SANDBOX_LANDLOCK ? ", landlock" : "",
	       parts & QC_SANDBOX_SECCOMP ? ", seccomp" : "");
	return EXIT_DONE;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Those of qemu-img that have no like here. */
static bool is_of_qemu_img(const char *word)
{
	static const char *const names[] = {"amend",   "bench", "bitmap",  "commit",
					    "convert", "dd",	"measure", "resize"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], word) == 0)
			return true;
	return false;
}

static int refuse_command(const char *word)
{
	struct suggestion suggestion;

	if (is_of_qemu_img(word))
		return command_usage("qcowtool", "unknown command '%s'; try 'qemu-img %s'", word,
				     word);
	suggestion_init(&suggestion, word, strlen(word));
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		suggestion_offer(&suggestion, commands[i].name);
	if (suggestion.name)
		return command_usage("qcowtool", "unknown command '%s'; did you mean '%s'?", word,
				     suggestion.name);
	return command_usage("qcowtool", "unknown command '%s'; try 'qcowtool --help'", word);
}

static int run_command(const struct command *command, int argc, char **argv)
{
	static char name[64]; /* for the handler of a signal that comes late */

	snprintf(name, sizeof(name), "qcowtool %s", command->name);
	argv[0] = name;
	interrupt_end_at_once(name);
	return command->run(argc, argv);
}

static int run(int argc, char **argv, const struct command **ret_command)
{
	if (argc < 2)
		return command_usage("qcowtool", "no command; try 'qcowtool --help'");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return show_help();
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return show_version();
	if (argv[1][0] == '-')
		return command_usage("qcowtool",
				     "unknown option '%s' before the command; try 'qcowtool "
				     "--help'",
				     argv[1]);
	*ret_command = find_command(argv[1]);
	if (!*ret_command)
		return refuse_command(argv[1]);
	return run_command(*ret_command, argc - 1, argv + 1);
}

/*
 * A result that nobody could read is a failure, but status 1 also says that the image is what it
 * was. So a command that changes images keeps its status, and the line on stderr has to do.
 */
static int finish_output(const struct command *command, int status)
{
	char name[64] = "qcowtool";
	struct qc_err err;
	int flushed = fflush(stdout);

	if (flushed == 0 && !ferror(stdout))
		return status;
	if (command)
		snprintf(name, sizeof(name), "qcowtool %s", command->name);
	qc_fail_errno(&err, flushed == 0 ? EIO : errno, "cannot write the result");
	command_fail(name, NULL, &err);
	return status == EXIT_DONE && !(command && command->changes_images) ? EXIT_FAILED : status;
}

/*
 * An image that is opened while a standard stream is closed would take its number, and then what is
 * printed. So each closed one becomes something that can be neither read nor written.
 */
static bool hold_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH) != fd)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	const struct command *command = NULL;
	int status;

	if (!hold_standard_streams()) {
		perror("qcowtool: cannot open the root folder");
		return EXIT_FAILED;
	}
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* a line is one write: others write there too */
	/* A full disk or a closed pipe is an error like any other, and must not kill a commit. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	progress_block_signal();
	status = run(argc, argv, &command);
	return finish_output(command, status);
}
