// SPDX-License-Identifier: MIT
#include "outside/scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash/must.h"
#include "outside/trace.h"

/* --- folders --- */

static void join(char ret[LAB_PATH_BYTES], const char *folder, const char *name)
{
	must(snprintf(ret, LAB_PATH_BYTES, "%s/%s", folder, name) < LAB_PATH_BYTES);
}

static void empty_folder(const char *folder)
{
	DIR *list = opendir(folder);
	struct dirent *entry;

	if (!list)
		return;
	while ((entry = readdir(list)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			must(unlinkat(dirfd(list), entry->d_name, 0) == 0);
	closedir(list);
}

static void copy_file(int from_folder, int to_folder, const char *name)
{
	int from = openat(from_folder, name, O_RDONLY | O_CLOEXEC);
	int to = openat(to_folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	static char buffer[1 << 16];
	static const char zeroes[sizeof(buffer)];
	struct stat st;
	ssize_t n;

	must(from >= 0 && to >= 0 && fstat(from, &st) == 0);
	for (off_t at = 0; (n = pread(from, buffer, sizeof(buffer), at)) > 0; at += n)
		if (memcmp(buffer, zeroes, (size_t)n) != 0)
			must(pwrite(to, buffer, (size_t)n, at) == n);
	must(n == 0 && ftruncate(to, st.st_size) == 0);
	close(from);
	close(to);
}

static void copy_folder(const char *from, const char *to)
{
	DIR *list = opendir(from);
	struct dirent *entry;
	int to_fd;

	must(list && (mkdir(to, 0777) == 0 || errno == EEXIST));
	empty_folder(to);
	to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(to_fd >= 0);
	while ((entry = readdir(list)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			copy_file(dirfd(list), to_fd, entry->d_name);
	close(to_fd);
	closedir(list);
}

static void remove_folder(const char *folder)
{
	empty_folder(folder);
	rmdir(folder);
}

/* --- labs --- */

/* What every script may use. */
static const char functions[] =
	"set -eu\n"
	"qcowtool() { \"$QCOWTOOL\" \"$@\"; }\n"
	"io() { qemu-io -f qcow2 \"$@\" disk.qcow2 >io.log || { cat io.log; false; }; rm io.log; }\n"
	/* Data, zeroes, compressed data and a hole; the rest of the 1 MiB is unallocated. */
	"make() {\n"
	"	qemu-img create -q -f qcow2 -o \"$1\" disk.qcow2 1M\n"
	"	io -c 'write -q -P 1 0 128k' -c 'write -q -z 192k 64k' -c 'write -q -c -P 2 256k 64k' \\\n"
	"		-c 'write -q -P 3 384k 64k' -c 'discard -q 384k 64k'\n"
	"}\n"
	/* ... and a snapshot of that, which the disk has left behind in part. */
	"make_snapshot() {\n"
	"	make \"$1\"\n"
	"	qemu-img snapshot -c one disk.qcow2\n"
	"	io -c 'write -q -P 4 8k 20k' -c 'write -q -P 5 512k 64k'\n"
	"}\n"
	/* A disk of 1 MiB on top of one.raw; two.raw is another base. */
	"make_chain() {\n"
	"	head -c 200000 /dev/zero | tr '\\0' a >one.raw\n"
	"	cp one.raw two.raw\n"
	"	truncate -s 1M one.raw two.raw\n"
	"	head -c 40000 /dev/zero | dd of=two.raw bs=1000 seek=90 conv=notrunc status=none\n"
	"	qemu-img create -q -f qcow2 -o \"$1\" -b one.raw -F raw disk.qcow2\n"
	"	io -c 'write -q -P 1 0 64k' -c 'write -q -P 2 130k 9k'\n"
	"}\n"
	/* The disk of make() in data.raw; what it does not show there is not zero, unless that is raw. */
	"make_external() {\n"
	"	qemu-img create -q -f qcow2 -o \"data_file=data.raw,$1\" disk.qcow2 1M\n"
	"	io -c 'write -q -P 1 0 128k' -c 'write -q -z 192k 64k' -c 'write -q -P 3 512k 64k'\n"
	"	case $1 in *raw*) ;; *)\n"
	"		head -c 70000 /dev/zero | tr '\\0' g |\n"
	"			dd of=data.raw bs=1000 seek=640 conv=notrunc status=none\n"
	"	esac\n"
	"}\n"
	/* A transaction stops where the limit for the size of files does not let it go on. */
	"break_off() { # ARGUMENT...\n"
	"	if (trap '' XFSZ; ulimit -f 800; qcowtool write -q disk.qcow2 \"$@\" 2>log); then false; fi\n"
	"	grep -q 'recover finishes it' log || { cat log; false; }\n"
	"	rm log\n"
	"}\n"
	/* The 16-bit refcount of a cluster, in images whose first block is the third cluster. */
	"set_refcount() { # CLUSTER HIGH-AND-LOW-BYTE\n"
	"	printf \"$2\" | dd of=disk.qcow2 bs=1 seek=$((8192 + 2 * $1)) conv=notrunc status=none\n"
	"}\n";

int lab_shell(const struct lab *lab, const char *script)
{
	const char *argv[] = {"sh", "-c", script, NULL};
	char log[LAB_PATH_BYTES];

	join(log, lab->root, "log");
	return run_program(lab->run, argv, log);
}

int lab_command(const struct lab *lab)
{
	return lab_shell(lab, lab->shell);
}

static void show_log(const struct lab *lab)
{
	char path[LAB_PATH_BYTES], line[256];
	FILE *log;

	join(path, lab->root, "log");
	log = fopen(path, "re");
	while (log && fgets(line, sizeof(line), log))
		fprintf(stderr, "# %s: %s", lab->scene->name, line);
	if (log)
		fclose(log);
}

int lab_recover(const struct lab *lab)
{
	char script[LAB_PATH_BYTES + 64];

	must(snprintf(script, sizeof(script), "exec \"$QCOWTOOL\" recover -q '%s'", lab->image)
	     < (int)sizeof(script));
	return lab_shell(lab, script);
}

/* What is left to be redone is part of the image; only those who know how can see it, though. */
static bool see_old(struct lab *lab)
{
	seen_at(lab->image, &lab->old);
	lab->old_pending = lab->old.pending;
	if (!lab->old_pending)
		return true;
	if (lab_recover(lab) != 0)
		return false;
	seen_at(lab->image, &lab->old);
	lab_reset(lab);
	return seen_sound(&lab->old);
}

static bool prepare(struct lab *lab)
{
	char *script;
	int status;

	must(asprintf(&script, "%s\n%s", functions, lab->scene->prepare) > 0);
	status = lab_shell(lab, script);
	free(script);
	if (status != 0) {
		show_log(lab);
		return false;
	}
	copy_folder(lab->run, lab->base);
	if (!see_old(lab) || lab_command(lab) != 0) {
		show_log(lab);
		return false;
	}
	copy_folder(lab->run, lab->done);
	seen_at(lab->image, &lab->new);
	if (!seen_sound(&lab->new))
		fprintf(stderr, "# %s: after it: %s\n", lab->scene->name, seen_text(&lab->new));
	return seen_sound(&lab->new);
}

bool lab_open(struct lab *lab, const struct scene *scene, const char *folder, bool rival)
{
	char *real;

	*lab = (struct lab){.scene = scene, .argv = {"sh", "-c", lab->shell, NULL}};
	join(lab->root, folder, "outside.XXXXXX");
	must(mkdtemp(lab->root));
	real = realpath(lab->root, NULL); /* as the system spells it */
	must(real && strlen(real) < LAB_PATH_BYTES - 64);
	strncpy(lab->root, real, sizeof(lab->root) - 1);
	free(real);
	join(lab->base, lab->root, "base");
	join(lab->done, lab->root, "done");
	join(lab->run, lab->root, "run");
	must(mkdir(lab->run, 0777) == 0);
	must(chdir(lab->run) == 0);
	lab_image_in(lab, lab->run, lab->image);
	lab_data_in(lab, lab->run, lab->data);
	must(snprintf(lab->shell, sizeof(lab->shell), "exec %s%s", rival ? "" : "\"$QCOWTOOL\" ",
		      rival ? scene->rival : scene->command)
	     < (int)sizeof(lab->shell));
	return prepare(lab);
}

void lab_close(struct lab *lab)
{
	char log[LAB_PATH_BYTES];

	join(log, lab->root, "log");
	must(chdir("/") == 0);
	unlink(log);
	remove_folder(lab->base);
	remove_folder(lab->done);
	remove_folder(lab->run);
	rmdir(lab->root);
}

void lab_reset(const struct lab *lab)
{
	copy_folder(lab->base, lab->run);
}

void lab_image_in(const struct lab *lab, const char *folder, char ret[LAB_PATH_BYTES])
{
	join(ret, folder, lab->scene->image ? lab->scene->image : "disk.qcow2");
}

void lab_data_in(const struct lab *lab, const char *folder, char ret[LAB_PATH_BYTES])
{
	if (lab->scene->data)
		join(ret, folder, lab->scene->data);
	else
		ret[0] = '\0';
}
