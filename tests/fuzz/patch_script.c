// SPDX-License-Identifier: MIT
/* Scripts of `write`. */
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "cmd/patches.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct patches patches = {.stdin_taken = true};
	int fd = memfd_create("script", MFD_CLOEXEC);
	char path[64];
	struct qc_err err;

	/* A path could lead to a device that never ends. */
	if (length > 0 && memchr(bytes, '/', length) != NULL) {
		close(fd);
		return 0;
	}
	FUZZ_MUST(fd >= 0);
	FUZZ_MUST(write(fd, bytes, length) == (ssize_t)length);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (patches_add_script(&patches, path, &err) < 0)
		FUZZ_MUST(err.text[0] != '\0');
	for (size_t i = 0; i < patches.count; i++) {
		const struct patch *patch = &patches.list[i];

		FUZZ_MUST(patch->word < PATCH_WORD_COUNT && patch->word != PATCH_AT);
		FUZZ_MUST(qc_range_fits(patch->at, patch->length, INT64_MAX));
		for (size_t k = 0; patch->bytes && k < patch->length; k++)
			((volatile uint8_t *)patch->bytes)[k] ^= 0;
	}
	patches_clear(&patches);
	close(fd);
	return 0;
}
