// SPDX-License-Identifier: MIT
/* What was saved of a state must lead there again, and to the same verdict. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "crash/campaign.h"
#include "crash/control.h"
#include "crash/must.h"
#include "crash/save.h"

#define WHICH 300 /* of the states; some are in doubt by then */

struct saving {
	struct run_context run;
	const char *folder;
	bool as_lost; /* as if neither version were possible any more */
	unsigned int seen;
};

static bool save_one(void *context, struct state *s, const struct crash_spec *spec)
{
	struct saving *saving = context;

	if (++saving->seen < WHICH)
		return true;
	for (size_t i = 0; saving->as_lost && i < s->version_count; i++)
		s->versions[i].gone_at = 0;
	save_state(saving->folder, saving->run.campaign->name, 1, &saving->run, spec, s);
	return false;
}

/* Saves a state in the midst of the edit. */
static void save_some_state(struct campaign *c, const char *folder, bool as_lost)
{
	struct saving saving = {
		.run = {.campaign = c, .base = &c->versions[0], .log = &c->log},
		.folder = folder,
		.as_lost = as_lost,
	};
	const struct image_bytes *base = saving.run.base;
	struct state s;
	struct crash_run run = {.state = &s, .log = &c->log, .judge = save_one, .context = &saving};

	state_init(&s, base->bytes, base->size, crash_log_room(&c->log, base->size));
	campaign_add_versions(c, &s, &c->log, c->log.count);
	must(!crash_enumerate(&run));
	state_clear(&s);
}

static bool is_replayed(const char *path, struct campaign *c, bool as_lost)
{
	char name[SAVE_NAME_BYTES];

	save_name(path, name, sizeof(name));
	return strcmp(name, c->name) == 0 && save_replay(path, c) == !as_lost;
}

static bool leads_there_again(bool as_lost)
{
	struct tally tally = {0};
	struct campaign c = {.tally = &tally, .name = "image/edit", .sample = 1};
	char folder[] = P_tmpdir "/saved.XXXXXX", crash[64], image[64];
	bool ok;

	must(mkdtemp(folder));
	snprintf(crash, sizeof(crash), "%s/image_edit-1.crash", folder);
	snprintf(image, sizeof(image), "%s/image_edit-1.qcow2", folder);
	campaign_open(&c, &image_kinds[9], &edit_kinds[3]);
	save_some_state(&c, folder, as_lost);
	ok = is_replayed(crash, &c, as_lost);
	campaign_close(&c);
	must(unlink(crash) == 0 && unlink(image) == 0 && rmdir(folder) == 0);
	return ok;
}

/* Replaying tells a lot, which nobody has asked for here. */
static bool leads_there_in_silence(bool as_lost)
{
	int out = dup(1), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	bool ok;

	fflush(stdout);
	must(out >= 0 && nowhere >= 0 && dup2(nowhere, 1) == 1);
	ok = leads_there_again(as_lost);
	fflush(stdout);
	must(dup2(out, 1) == 1);
	close(out);
	close(nowhere);
	return ok;
}

void control_replay(unsigned int *passed, unsigned int *failed)
{
	bool ok = leads_there_in_silence(false) && leads_there_in_silence(true);

	printf("%s control: what was saved of a state leads there again\n", ok ? "ok" : "not ok");
	*(ok ? passed : failed) += 1;
}
