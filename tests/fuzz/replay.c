// SPDX-License-Identifier: MIT
/*
 * Runs a fuzz target over files and folders of them: `header ../../fixtures/fuzz/header`. Says how
 * many there were; a target that finds something dies, after the name of the file was said.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"

static unsigned int replayed;

static void replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes;
	long length;

	FUZZ_MUST(file != NULL);
	FUZZ_MUST(fseek(file, 0, SEEK_END) == 0);
	length = ftell(file);
	FUZZ_MUST(length >= 0);
	rewind(file);
	/* Exactly as long as the input, so that a byte too far is seen. */
	bytes = malloc((size_t)length + (length == 0));
	FUZZ_MUST(bytes != NULL);
	FUZZ_MUST(fread(bytes, 1, (size_t)length, file) == (size_t)length);
	fclose(file);
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(bytes, (size_t)length);
	free(bytes);
	replayed++;
}

static void replay_folder(const char *path)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	char name[4096];

	FUZZ_MUST(folder != NULL);
	while ((entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		FUZZ_MUST(snprintf(name, sizeof(name), "%s/%s", path, entry->d_name)
			  < (int)sizeof(name));
		replay_file(name);
	}
	closedir(folder);
}

int main(int argc, char **argv)
{
	struct stat st;

	for (int i = 1; i < argc; i++) {
		FUZZ_MUST(stat(argv[i], &st) == 0);
		if (S_ISDIR(st.st_mode))
			replay_folder(argv[i]);
		else
			replay_file(argv[i]);
	}
	FUZZ_MUST(replayed > 0);
	printf("[       OK ] %u inputs\n", replayed);
	return 0;
}
