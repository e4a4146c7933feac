// SPDX-License-Identifier: MIT
/*
 * What is done to what, by real programs: a folder with an image, made by a shell script, and one
 * command. Each run gets a fresh copy of the folder at the same place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "outside/seen.h"

struct scene {
	const char *name;
	const char *prepare; /* a shell script; the functions of scene.c are there */
	const char *command; /* what follows `qcowtool` on the command line, as a shell reads it */
	const char *rival;   /* a command of QEMU's that does the same; NULL: none is compared */
	const char *image;   /* NULL: disk.qcow2 */
	const char *data;    /* the image's external data file; NULL: it has none */
	bool replaces;	     /* by a new file, instead of changing the image */
	bool in_steps;	     /* a command that fails may have done a part of the work */
};

extern const struct scene scenes[];
extern const size_t scene_count;

#define LAB_PATH_BYTES 256

struct lab {
	const struct scene *scene;
	char root[LAB_PATH_BYTES];  /* of this scene; removed in the end */
	char base[LAB_PATH_BYTES];  /* the folder as prepared */
	char done[LAB_PATH_BYTES];  /* after the command */
	char run[LAB_PATH_BYTES];   /* where everything happens */
	char image[LAB_PATH_BYTES]; /* in there */
	char data[LAB_PATH_BYTES];  /* likewise; "": none */
	char shell[512];	    /* the command, as a script */
	const char *argv[4];	    /* to run it */
	struct seen old, new;
	bool old_pending; /* the old image has something to redo, and `old` is what that makes of it */
};

/*
 * Prepares, and runs the command once. False, with words on stderr, if something fails. Names of data
 * files count from the working directory: until lab_close() that is run/, for this process too.
 */
bool lab_open(struct lab *lab, const struct scene *scene, const char *folder, bool rival);
void lab_close(struct lab *lab);

/* Makes run/ a copy of base/. */
void lab_reset(const struct lab *lab);

/* The path of the image in `folder`, one of the lab's, and of its data file ("": none). */
void lab_image_in(const struct lab *lab, const char *folder, char ret[LAB_PATH_BYTES]);
void lab_data_in(const struct lab *lab, const char *folder, char ret[LAB_PATH_BYTES]);

/* Runs the program in run/, without an observer; the exit status. Arguments end with NULL. */
int lab_command(const struct lab *lab);			  /* the scene's command once more */
int lab_shell(const struct lab *lab, const char *script); /* any other */
int lab_recover(const struct lab *lab);
