// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/emit.h"
#include "cmd/info_value.h"

/* The text in a column that is at least so wide, and a blank. */
static void put_column(const char *text, size_t width)
{
	size_t used = strlen(text);

	emit_plain(stdout, text);
	printf("%*s", (int)(used < width ? width - used : 0) + 1, "");
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static uint64_t number_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_real(value) ? (uint64_t)json_real_value(value)
				   : (uint64_t)json_integer_value(value);
}

static void print_value(const json_t *value, int depth);

static void put_key(const char *key)
{
	for (; *key != '\0'; key++)
		putchar(*key == '-' ? ' ' : *key);
}

/* "key: value", or the value's members below it. */
static void print_member(const json_t *value, int depth)
{
	bool composite = json_is_object(value) || json_is_array(value);

	putchar(':');
	putchar(composite ? '\n' : ' ');
	print_value(value, depth + 1);
	if (!composite)
		putchar('\n');
}

static void print_value(const json_t *value, int depth)
{
	const char *key;
	json_t *member;
	size_t index;

	if (json_is_object(value)) {
		json_object_foreach((json_t *)(uintptr_t)value, key, member)
		{
			printf("%*s", depth * 4, "");
			put_key(key);
			print_member(member, depth);
		}
	} else if (json_is_array(value)) {
		json_array_foreach(value, index, member)
		{
			printf("%*s[%zu]", depth * 4, "", index);
			print_member(member, depth);
		}
	} else if (json_is_string(value)) {
		emit_plain(stdout, json_string_value(value));
	} else if (json_is_integer(value)) {
		printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	} else {
		fputs(json_is_true(value) ? "true" : "false", stdout);
	}
}

struct when {
	char text[32];
};

static struct when local_time(uint64_t seconds)
{
	struct when when = {"-"};
	time_t since_epoch = (time_t)seconds;
	struct tm local;

	if (localtime_r(&since_epoch, &local) != NULL)
		strftime(when.text, sizeof(when.text), "%Y-%m-%d %H:%M:%S", &local);
	return when;
}

static void print_snapshot(const json_t *s)
{
	uint64_t clock = number_of(s, "vm-clock-sec");
	char clock_text[64], icount[32] = "";

	snprintf(clock_text, sizeof(clock_text),
		 "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%03" PRIu64, clock / 3600,
		 clock / 60 % 60, clock % 60, number_of(s, "vm-clock-nsec") / 1000000);
	if (json_object_get(s, "icount") != NULL)
		snprintf(icount, sizeof(icount), "%" PRIu64, number_of(s, "icount"));
	put_column(text_of(s, "id"), 9);
	put_column(text_of(s, "name"), 16);
	printf("%8s%20s%13s%11s\n", emit_size(number_of(s, "vm-state-size")).text,
	       local_time(number_of(s, "date-sec")).text, clock_text, icount);
}

void info_print_snapshots(const json_t *snapshots)
{
	const json_t *snapshot;
	size_t index;

	puts("Snapshot list:");
	printf("%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
	json_array_foreach(snapshots, index, snapshot) print_snapshot(snapshot);
}

static void print_backing(const json_t *info)
{
	const char *name = text_of(info, "backing-filename");
	const char *full = text_of(info, "full-backing-filename");

	fputs("backing file: ", stdout);
	emit_plain(stdout, name);
	if (strcmp(name, full) != 0) {
		fputs(" (actual path: ", stdout);
		emit_plain(stdout, full);
		putchar(')');
	}
	putchar('\n');
	if (json_object_get(info, "backing-filename-format") != NULL) {
		fputs("backing file format: ", stdout);
		emit_plain(stdout, text_of(info, "backing-filename-format"));
		putchar('\n');
	}
}

static void print_sizes(const json_t *info)
{
	printf("virtual size: %s\n", emit_size_exact(number_of(info, "virtual-size")).text);
	if (json_object_get(info, "actual-size") != NULL)
		printf("disk size: %s\n", emit_size(number_of(info, "actual-size")).text);
	else
		puts("disk size: unavailable");
}

void info_print(const json_t *info)
{
	const json_t *specific = json_object_get(info, "format-specific");

	fputs("image: ", stdout);
	emit_plain(stdout, text_of(info, "filename"));
	printf("\nfile format: %s\n", text_of(info, "format"));
	print_sizes(info);
	if (json_object_get(info, "encrypted") != NULL)
		puts("encrypted: yes");
	if (json_object_get(info, "cluster-size") != NULL)
		printf("cluster_size: %" PRIu64 "\n", number_of(info, "cluster-size"));
	if (json_is_true(json_object_get(info, "dirty-flag")))
		puts("cleanly shut down: no");
	if (json_object_get(info, "backing-filename") != NULL)
		print_backing(info);
	if (json_object_get(info, "snapshots") != NULL)
		info_print_snapshots(json_object_get(info, "snapshots"));
	if (specific) {
		puts("Format specific information:");
		print_value(json_object_get(specific, "data"), 1);
	}
}
