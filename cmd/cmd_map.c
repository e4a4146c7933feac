// SPDX-License-Identifier: MIT
/*
 * map: what each part of the disk is. The lines are those of qemu-img map, so that scripts can take
 * either, and are printed as they are found: an image may have millions of them.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/checked.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lock_down.h"
#include "cmd/map_bar.h"
#include "cmd/map_svg.h"
#include "cmd/opened_view.h"
#include "cmd/progress.h"
#include "cmd/size.h"
#include "format/limits.h"
#include "image/chain_map.h"

enum {
	KEY_START = 's',
	KEY_LENGTH = 'l',
	KEY_SNAPSHOT = 0x100,
	KEY_SVG,
};

struct map_options {
	uint64_t start;
	uint64_t length;
	const char *snapshot;
	const char *svg;
	bool parted; /* a start or a length was given */
};

static const struct argp_option options[] = {
	{"start-offset", KEY_START, "OFFSET", 0, "begin there instead of at 0", 0},
	{"max-length", KEY_LENGTH, "LENGTH", 0, "stop after that many bytes", 0},
	{"snapshot", KEY_SNAPSHOT, "NAME|ID", 0, "the disk as it was in that snapshot", 0},
	{"svg", KEY_SVG, "FILE", 0,
	 "draw a picture of the image's file instead, as SVG; FILE appears when it is complete", 0},
	{0},
};

static int take(void *context, int key, const char *value, struct qc_err *err)
{
	struct map_options *o = context;

	switch (key) {
	case KEY_START:
		o->parted = true;
		return size_parse(value, &o->start, err);
	case KEY_LENGTH:
		o->parted = true;
		return size_parse(value, &o->length, err);
	case KEY_SVG:
		o->svg = value;
		return 0;
	default:
		o->snapshot = value;
		return 0;
	}
}

static const struct command_syntax syntax = {
	.arguments = "IMAGE",
	.least = 1,
	.most = 1,
	.doc = "Shows for each part of the disk whether it is stored, zero or absent, in which "
	       "layer of the backing chain, and where in that file.",
	.options = options,
	.take = take,
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_FORCE_SHARE | COMMON_CHAIN
		   | COMMON_NO_SANDBOX,
};

/* Takes the extents one after the other, joined. */
struct printer {
	const struct qc_layer *top;
	bool json;
	bool quiet;
};

static const char *truth(bool value)
{
	return value ? "true" : "false";
}

static void print_json(uint64_t start, const struct qc_chain_extent *e, bool last)
{
	printf("{ \"start\": %" PRIu64 ", \"length\": %" PRIu64 ", \"depth\": %" PRIu32
	       ", \"present\": %s, \"zero\": %s, \"data\": %s, \"compressed\": %s",
	       start, e->bytes, e->depth, truth(e->present), truth(e->zero), truth(e->data),
	       truth(e->compressed));
	if (e->has_host)
		printf(", \"offset\": %" PRIu64, e->host.byte);
	puts(last ? "}]" : "},");
}

static int print_human(const struct printer *p, uint64_t start, const struct qc_chain_extent *e,
		       struct qc_err *err)
{
	if (e->data && !e->has_host)
		return qc_fail(err, QC_E_UNSUPPORTED,
			       "the disk has compressed, encrypted or external parts, which these "
			       "lines have no place for; --output=json shows them");
	if (e->data && !e->zero)
		printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", start, e->bytes,
		       e->host.byte, qc_layer_data_name(e->layer ? e->layer : p->top));
	return 0;
}

static int print(const struct printer *p, uint64_t start, const struct qc_chain_extent *e,
		 bool last, struct qc_err *err)
{
	if (p->quiet)
		return 0;
	if (!p->json)
		return print_human(p, start, e, err);
	print_json(start, e, last);
	return 0;
}

static void print_head(const struct printer *p)
{
	if (p->quiet)
		return;
	if (p->json)
		putchar('[');
	else
		printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
}

/* One extent is always printed; an empty range makes it an empty one. */
static int map(const struct printer *p, const struct qc_view *view, uint64_t start, uint64_t end,
	       struct qc_err *err)
{
	struct qc_chain_extent current = {0}, next;
	int rc;

	print_head(p);
	for (uint64_t at = start; at < end; at += next.bytes) {
		rc = qc_chain_map(view, qc_guest(at), end - at, &next, err);
		if (rc < 0)
			return rc;
		if (current.bytes > 0 && qc_chain_extent_joins(&current, &next)) {
			current.bytes += next.bytes;
			continue;
		}
		if (current.bytes > 0) {
			rc = print(p, start, &current, false, err);
			if (rc < 0)
				return rc;
		}
		start = at;
		current = next;
	}
	return print(p, start, &current, true, err);
}

/* The lines stop at what they cannot say; the bar, which comes last, has no such limits. */
static int show(const struct printer *p, const struct qc_view *view, uint64_t start, uint64_t end,
		const struct map_bar *bar, struct qc_err *err)
{
	int rc = map(p, view, start, end, err);
	struct qc_err second;

	if (p->json || p->quiet)
		return rc;
	if (rc == 0)
		return map_bar_print(bar, view, start, end, err);
	map_bar_print(bar, view, start, end, &second);
	return rc;
}

static int make_picture(const struct map_options *o, const struct command_line *line)
{
	struct progress progress;
	struct qc_err err;
	int rc;

	if (o->parted || o->snapshot || line->common.output == OUTPUT_JSON)
		return command_usage(line->name, "--svg shows the whole file, and as SVG");
	progress_init(&progress, line, line->argument[0]);
	rc = map_svg(line->argument[0], o->svg, &line->common, &progress.base, &err);
	progress_end(&progress);
	if (rc < 0)
		return command_fail(line->name, line->argument[0], &err);
	return EXIT_DONE;
}

int cmd_map(int argc, char **argv)
{
	struct map_options o = {.length = UINT64_MAX};
	struct opened_view opened;
	struct command_line line;
	struct printer printer;
	struct map_bar bar;
	struct qc_err err;
	uint64_t end;
	int rc;

	if (!command_line_parse(&syntax, argc, argv, &o, &line))
		return line.status;
	if (o.svg)
		return make_picture(&o, &line);
	printer = (struct printer){
		.json = line.common.output == OUTPUT_JSON,
		.quiet = line.common.quiet,
	};
	if (opened_view_open(line.argument[0], &line.common, o.snapshot, true, &opened, &err) < 0)
		return command_fail(line.name, line.argument[0], &err);
	map_bar_init(&bar);
	lock_down(&line.common);
	printer.top = opened.chain;
	/* What qemu-img says about a disk covers its whole sectors only. */
	end = qc_align_down(opened.view.disk_bytes, QC_SECTOR_BYTES);
	if (o.start < end && o.length < end - o.start)
		end = o.start + o.length;
	rc = show(&printer, &opened.view, o.start, end, &bar, &err);
	opened_view_close(&opened);
	return rc < 0 ? command_fail(line.name, line.argument[0], &err) : EXIT_DONE;
}
