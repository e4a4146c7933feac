// SPDX-License-Identifier: MIT
#include "crash/save.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "crash/buffer_file.h"
#include "crash/must.h"

static const char magic[8] = "QCRASH2";

static void put(FILE *to, const void *bytes, uint64_t length)
{
	must(fwrite(bytes, 1, (size_t)length, to) == length);
}

static void put_u64(FILE *to, uint64_t value)
{
	put(to, &value, sizeof(value));
}

static void get(FILE *from, void *bytes, uint64_t length)
{
	must(fread(bytes, 1, (size_t)length, from) == length);
}

static uint64_t get_u64(FILE *from)
{
	uint64_t value;

	get(from, &value, sizeof(value));
	return value;
}

static uint8_t *get_bytes(FILE *from, uint64_t length)
{
	uint8_t *bytes = malloc((size_t)length + 1);

	must(bytes);
	get(from, bytes, length);
	return bytes;
}

/* --- saving --- */

static void put_log(FILE *to, const struct crash_log *log)
{
	put_u64(to, log->count);
	for (size_t i = 0; i < log->count; i++) {
		put_u64(to, log->ops[i].kind);
		put_u64(to, log->ops[i].offset);
		put_u64(to, log->ops[i].length);
		if (log->ops[i].kind == CRASH_WRITE)
			put(to, log->ops[i].bytes, log->ops[i].length);
	}
}

static FILE *create(const char *folder, const char *name, unsigned int number, const char *suffix)
{
	char path[512], *slash;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s-%u.%s", folder, name, number, suffix);
	for (slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL;)
		*slash = '_';
	file = fopen(path, "wb");
	must(file);
	printf("#   saved as %s\n", path);
	return file;
}

void save_state(const char *folder, const char *name, unsigned int number,
		const struct run_context *run, const struct crash_spec *spec,
		const struct state *state)
{
	const struct image_bytes *base = run->base;
	FILE *to;

	must(mkdir(folder, 0777) == 0 || errno == EEXIST);
	to = create(folder, name, number, "qcow2");
	put(to, state->bytes, state->size);
	must(fclose(to) == 0);
	to = create(folder, name, number, "crash");
	put(to, magic, sizeof(magic));
	put_u64(to, strlen(name) + 1);
	put(to, name, strlen(name) + 1);
	put_u64(to, run->depth);
	put_u64(to, base->size);
	put(to, base->bytes, base->size);
	put_log(to, run->log);
	put(to, spec, sizeof(*spec));
	put_u64(to, state->version_count);
	for (size_t i = 0; i < state->version_count; i++) {
		put_u64(to, state->versions[i].size);
		put_u64(to, state->versions[i].gone_at);
		put(to, state->versions[i].bytes, state->versions[i].size);
	}
	must(fclose(to) == 0);
}

static const char fault_head[] = "a fault of qcowtool's crash test";

void save_fault(const char *folder, const char *name, unsigned int number, size_t kind, uint64_t at)
{
	FILE *to;

	must(mkdir(folder, 0777) == 0 || errno == EEXIST);
	to = create(folder, name, number, "crash");
	fprintf(to, "%s\n%s\n%zu %" PRIu64 "\n", fault_head, name, kind, at);
	must(fclose(to) == 0);
}

/* --- replaying --- */

bool save_is_fault(const char *path, char *name, size_t name_bytes, size_t *ret_kind,
		   uint64_t *ret_at)
{
	FILE *from = fopen(path, "rb");
	char head[sizeof(fault_head) + 1];
	bool is;

	must(from);
	is = fgets(head, sizeof(head), from)
	     && strncmp(head, fault_head, sizeof(fault_head) - 1) == 0
	     && fgets(name, (int)name_bytes, from)
	     && fscanf(from, "%zu %" SCNu64, ret_kind, ret_at) == 2;
	fclose(from);
	if (is)
		name[strcspn(name, "\n")] = '\0';
	return is;
}

static void get_log(FILE *from, struct crash_log *log)
{
	uint64_t count = get_u64(from);

	for (uint64_t i = 0; i < count; i++) {
		uint64_t kind = get_u64(from), offset = get_u64(from), length = get_u64(from);
		uint8_t *bytes = kind == CRASH_WRITE ? get_bytes(from, length) : NULL;

		crash_log_add(log, (enum crash_kind)kind, offset, length, bytes);
		free(bytes);
	}
}

static void get_versions(FILE *from, struct state *s)
{
	uint64_t count = get_u64(from);

	for (uint64_t i = 0; i < count; i++) {
		uint64_t size = get_u64(from), gone_at = get_u64(from);
		uint8_t *bytes = get_bytes(from, size);

		state_add_version(s, bytes, size);
		s->versions[i].gone_at = (size_t)gone_at;
		free(bytes);
	}
}

void save_print_log(const struct crash_log *log, const struct crash_spec *spec)
{
	static const char *const kinds[] = {"write", "resize", "punch", "sync"};

	size_t doubt[DOUBT_MAX], next = 0;

	must(spec->doubted <= DOUBT_MAX
	     && crash_log_doubt(log, spec->issued, doubt) == spec->doubted);
	for (size_t i = 0; i < log->count; i++) {
		bool doubted = next < spec->doubted && doubt[next] == i;
		const char *there = i >= spec->issued	  ? "never issued"
				    : !doubted		  ? "durable"
				    : next == spec->torn  ? "torn"
				    : next == spec->late  ? "late"
				    : spec->present[next] ? "there"
							  : "missing";

		next += doubted;
		printf("%4zu %s%-6s at 0x%06" PRIx64 " length 0x%06" PRIx64 "  %s\n", i,
		       log->ops[i].file == 0 ? "" : "data file: ", kinds[log->ops[i].kind],
		       log->ops[i].offset, log->ops[i].length, there);
	}
	if (spec->torn != STATE_NONE)
		printf("torn: sectors %" PRIu64 "..%" PRIu64 " of it are there\n", spec->torn_from,
		       spec->torn_to);
	printf("file size: %s\n", crash_size_name(spec->size));
}

/* Without a log sector 0 is torn inside: then recovery alone counts. */
static bool print_verdict(const struct state *s, const struct crash_spec *spec,
			  bool is_beyond_promise)
{
	struct crash_log log = {0};
	struct content content;
	struct buffer_file file;
	const char *why;
	bool recovered;
	size_t v = state_version(s, spec->durable);

	buffer_file_init(&file);
	buffer_file_set(&file, s->bytes, s->size);
	content_of(&file.base, &content);
	for (size_t i = 0; i < s->version_count; i++)
		printf("version %zu: content %016" PRIx64 ", %" PRIu64 " sectors differ\n", i,
		       s->versions[i].content.digest, s->wrong_count[i]);
	printf("the state: content %016" PRIx64 ", readable %d, %" PRIu64 " leaks, %" PRIu64
	       " corruptions; it is %s\n",
	       content.digest, content.readable, content.leaks, content.corruptions,
	       v == STATE_NONE ? "none of them" : "one of them");
	recovered = recover_once(&file.base, &log, &why);
	content_of(&file.base, &content);
	printf("recovered: %s; content %016" PRIx64 ", %" PRIu64 " leaks, %" PRIu64
	       " corruptions\n",
	       recovered ? "yes" : why, content.digest, content.leaks, content.corruptions);
	crash_log_clear(&log);
	buffer_file_clear(&file);
	if (!recovered || !content_is_sound(&content))
		return false;
	if (v == STATE_NONE && !is_beyond_promise)
		return false;
	for (size_t i = 0; i < s->version_count; i++)
		if (content.digest == s->versions[i].content.digest && (v == STATE_NONE || v == i))
			return true;
	return false;
}

/* The file, behind the name that it begins with. */
static FILE *open_saved(const char *path, char *name, size_t name_bytes)
{
	FILE *from = fopen(path, "rb");
	char found[sizeof(magic)];
	uint64_t length;

	must(from);
	get(from, found, sizeof(found));
	must(memcmp(found, magic, sizeof(magic)) == 0);
	length = get_u64(from);
	must(length > 0 && length <= name_bytes);
	get(from, name, length);
	must(name[length - 1] == '\0');
	return from;
}

void save_name(const char *path, char *name, size_t name_bytes)
{
	fclose(open_saved(path, name, name_bytes));
}

static bool goes_on_well(struct run_context *run, struct state *s, const struct crash_spec *spec)
{
	struct campaign *c = run->campaign;
	size_t v = state_version(s, spec->durable);

	c->version_count = s->version_count;
	if (v != STATE_NONE)
		campaign_later(run, s, spec, v);
	later_clear(&c->later);
	printf("whoever goes on with it: %s\n", v == STATE_NONE	      ? "not tried"
						: tally_bad(c->tally) ? "ends elsewhere"
								      : "ends well");
	return tally_bad(c->tally) == 0;
}

bool save_replay(const char *path, struct campaign *c)
{
	struct crash_spec *spec = malloc(sizeof(*spec));
	char name[SAVE_NAME_BYTES];
	FILE *from = open_saved(path, name, sizeof(name));
	struct crash_log log = {0};
	struct image_bytes base;
	struct run_context run = {.campaign = c, .base = &base, .log = &log};
	struct state state;
	bool ok;

	must(spec);
	run.depth = (unsigned int)get_u64(from);
	base.size = get_u64(from);
	base.bytes = get_bytes(from, base.size);
	get_log(from, &log);
	get(from, spec, sizeof(*spec));
	state_init(&state, base.bytes, base.size,
		   crash_log_room(&log, base.size) + (UINT64_C(1) << 20));
	get_versions(from, &state);
	fclose(from);
	save_print_log(&log, spec);
	crash_make(&state, &log, spec);
	ok = print_verdict(&state, spec, log.count == 0);
	ok = goes_on_well(&run, &state, spec) && ok;
	state_clear(&state);
	crash_log_clear(&log);
	image_bytes_clear(&base);
	free(spec);
	return ok;
}
