// SPDX-License-Identifier: MIT
/*
 * Plain shapes with classes and one style sheet, which knows light and dark; no scripts, no fonts and
 * nothing else from anywhere. Lengths are in pixels of the unscaled picture.
 */
#include "cmd/survey_svg.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "cmd/emit.h"

#define WIDTH 1200u
#define MARGIN 24u
#define INNER (WIDTH - 2 * MARGIN)
#define GRID_TOP 88u
#define LEGEND_COLUMNS 4u
#define LEGEND_LINE 46u /* a name, and below it what there is of it */
#define DOT (INNER / QC_SURVEY_COLUMNS)
#define PLOT_HEIGHT (QC_SURVEY_ROWS * DOT)
#define NAME_MAX_SHOWN 80u /* characters */

_Static_assert(INNER % 128 == 0 && INNER % QC_SURVEY_COLUMNS == 0, "cells of whole pixels");

struct kind {
	const char *name;
	const char *light, *dark; /* colours */
};

static const struct kind kinds[QC_SURVEY_KINDS] = {
	[QC_CLAIM_HEADER] = {"header", "#151d2a", "#f1f5f9"},
	[QC_CLAIM_REFCOUNTS] = {"refcount table and blocks", "#52247a", "#9b82fc"},
	[QC_CLAIM_L1] = {"L1 table", "#d0812a", "#e08818"},
	[QC_CLAIM_L2] = {"L2 tables", "#e8c440", "#fbdc45"},
	[QC_CLAIM_DATA] = {"data", "#2a6fd0", "#3b70cf"},
	[QC_CLAIM_COMPRESSED] = {"compressed data", "#55b090", "#3aaa9c"},
	[QC_CLAIM_ZERO] = {"preallocated, reads as zeroes", "#a3c8ec", "#12506f"},
	[QC_CLAIM_SNAPSHOTS] = {"only of snapshots", "#a96c98", "#f79aee"},
	[QC_CLAIM_BITMAPS] = {"bitmaps", "#416d03", "#a1cb95"},
	[QC_SURVEY_LEAKED] = {"leaked", "#e00047", "#dd3035"},
	[QC_SURVEY_FREE] = {"free", "#e8ecf1", "#252c36"},
};

/* --- text --- */

/* U+FFFE and U+FFFF, which are valid UTF-8 and no XML */
static bool is_no_character(const unsigned char *at)
{
	return at[0] == 0xef && at[1] == 0xbf && at[2] >= 0xbe;
}

/* XML knows no control characters; a name may end in an ellipsis. */
static void put_text(FILE *to, const char *utf8)
{
	unsigned int characters = 0;

	for (const unsigned char *at = (const unsigned char *)utf8; *at; at++) {
		if ((*at & 0xc0) != 0x80 && ++characters > NAME_MAX_SHOWN) {
			fputs("…", to);
			return;
		}
		switch (*at) {
		case '&':
			fputs("&amp;", to);
			break;
		case '<':
			fputs("&lt;", to);
			break;
		case '>':
			fputs("&gt;", to);
			break;
		default:
			if (*at < 0x20 || *at == 0x7f || is_no_character(at)) {
				fputs("\xef\xbf\xbd", to);
				at += is_no_character(at) ? 2 : 0;
			} else {
				putc(*at, to);
			}
		}
	}
}

static int put_name(const struct survey_picture *p, FILE *to, struct qc_err *err)
{
	const char *slash = strrchr(p->name, '/');
	json_t *name = emit_text(slash ? slash + 1 : p->name);

	if (!name)
		return qc_fail_memory(err);
	put_text(to, json_string_value(name));
	json_decref(name);
	return 0;
}

static struct emit_size size_of(const struct survey_picture *p, uint64_t clusters)
{
	return emit_size(qc_min(clusters << p->geometry->cluster_bits, p->file_bytes));
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void put_percent(FILE *to, uint64_t part, uint64_t whole)
{
	double value = percent(part, whole);

	if (part == 0)
		fputs("0 %", to);
	else if (value < 0.01)
		fputs("&lt; 0.01 %", to);
	else if (value > 99.9 && part < whole)
		fputs("&gt; 99.9 %", to);
	else
		fprintf(to, value < 10 ? "%.2f %%" : "%.1f %%", value);
}

/* --- the head --- */

static void put_style(FILE *to)
{
	fputs("<style>\n"
	      "text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;"
	      "fill:#3b4754}\n"
	      ".page{fill:#fff}.name{font-size:22px;font-weight:600;fill:#111827}\n"
	      ".part{font-size:15px;font-weight:600;fill:#111827}.soft{fill:#6b7785}"
	      ".end{text-anchor:end}\n"
	      ".frame{fill:#f5f7fa}.line{stroke:#dfe5ec}.dots{stroke:#2a6fd0}\n",
	      to);
	for (unsigned int i = 0; i < QC_SURVEY_KINDS; i++)
		fprintf(to, ".k%u{fill:%s}\n", i, kinds[i].light);
	fputs("@media (prefers-color-scheme:dark){\n"
	      "text{fill:#c3ccd6}.page{fill:#11161d}.name,.part{fill:#f1f5f9}.soft{fill:#8e9aa8}\n"
	      ".frame{fill:#1a212b}.line{stroke:#2b3542}.dots{stroke:#5b8de8}\n",
	      to);
	for (unsigned int i = 0; i < QC_SURVEY_KINDS; i++)
		fprintf(to, ".k%u{fill:%s}\n", i, kinds[i].dark);
	fputs("}\n</style>\n", to);
}

static int put_head(const struct survey_picture *p, uint32_t height, FILE *to, struct qc_err *err)
{
	const struct qc_survey *survey = p->survey;
	int rc;

	fprintf(to,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"viewBox=\"0 0 %u %u\">\n<title>",
		WIDTH, height, WIDTH, height);
	rc = put_name(p, to, err);
	fputs("</title>\n", to);
	put_style(to);
	fprintf(to,
		"<rect class=\"page\" width=\"%u\" height=\"%u\"/>\n"
		"<text class=\"name\" x=\"%u\" y=\"44\">",
		WIDTH, height, MARGIN);
	if (rc == 0)
		rc = put_name(p, to, err);
	fprintf(to, "</text>\n<text class=\"soft\" x=\"%u\" y=\"68\">a disk of %s", MARGIN,
		emit_size(p->disk_bytes).text);
	fprintf(to, " in a file of %s, clusters of %s; ", emit_size(p->file_bytes).text,
		emit_size(p->geometry->cluster_bytes).text);
	if (survey->clusters_per_cell == 1)
		fputs("each cell is a cluster", to);
	else
		fprintf(to, "each cell is %s, %" PRIu64 " clusters",
			emit_size(survey->clusters_per_cell << p->geometry->cluster_bits).text,
			survey->clusters_per_cell);
	fputs("</text>\n", to);
	return rc;
}

/* --- the grid --- */

static uint32_t grid_columns(const struct qc_survey *survey)
{
	return survey->cells <= 256 ? 32 : survey->cells <= 1024 ? 64 : 128;
}

static uint32_t grid_height(const struct qc_survey *survey)
{
	uint32_t columns = grid_columns(survey);

	return (survey->cells + columns - 1) / columns * (INNER / columns);
}

static uint64_t cell_clusters(const struct qc_survey *survey, uint32_t index)
{
	return qc_min(survey->clusters_per_cell,
		      survey->clusters - index * survey->clusters_per_cell);
}

/* What there is most of; free only if there is nothing else. */
static unsigned int main_kind(const struct qc_survey_cell *cell)
{
	unsigned int best = QC_SURVEY_FREE;

	for (unsigned int i = 0; i < QC_SURVEY_FREE; i++)
		if (cell->clusters[i] > (best == QC_SURVEY_FREE ? 0 : cell->clusters[best]))
			best = i;
	return best;
}

/*
 * What else deserves to be seen: the rarest in the file. L2 tables and refcount blocks are sprinkled
 * over every large file, so there has to be something of them.
 */
static unsigned int other_kind(const struct qc_survey *survey, uint32_t index, unsigned int first)
{
	const uint64_t *clusters = survey->cell[index].clusters;
	const uint64_t *total = survey->total.clusters;
	unsigned int best = QC_SURVEY_KINDS;

	for (unsigned int i = 0; i < QC_SURVEY_KINDS; i++) {
		bool sprinkled = i == QC_CLAIM_L2 || i == QC_CLAIM_REFCOUNTS || i == QC_SURVEY_FREE;
		uint64_t least = sprinkled ? cell_clusters(survey, index) / 32 : 0;

		if (i == first || clusters[i] == 0 || clusters[i] < least)
			continue;
		if (i == QC_SURVEY_FREE && best != QC_SURVEY_KINDS)
			continue;
		if (i == QC_SURVEY_LEAKED || best == QC_SURVEY_KINDS || total[i] < total[best])
			best = i;
	}
	return best;
}

/* "at 0x100000: data 75.0 %, free 25.0 %", when the pointer is on the cell */
static void put_cell_title(const struct survey_picture *p, uint32_t index, FILE *to)
{
	const struct qc_survey *survey = p->survey;
	uint64_t start = index * survey->clusters_per_cell << p->geometry->cluster_bits;
	const char *before = ":";

	fprintf(to, "<title>at %#" PRIx64, start);
	for (unsigned int i = 0; i < QC_SURVEY_KINDS; i++) {
		uint64_t part = survey->cell[index].clusters[i];

		if (part == 0)
			continue;
		fprintf(to, "%s %s", before, kinds[i].name);
		before = ",";
		if (part == cell_clusters(survey, index))
			continue;
		putc(' ', to);
		put_percent(to, part, cell_clusters(survey, index));
	}
	fputs("</title>", to);
}

/* What is leaked is round: colours alone do not stand out to every eye. */
static uint32_t corner(unsigned int kind, uint32_t side)
{
	return kind == QC_SURVEY_LEAKED ? side / 2 : 1 + side / 12;
}

/* A square, with a strip at its foot if there is something else in it. */
static void put_cell(const struct survey_picture *p, uint32_t index, FILE *to)
{
	uint32_t columns = grid_columns(p->survey);
	uint32_t pitch = INNER / columns;
	uint32_t x = MARGIN + index % columns * pitch;
	uint32_t y = GRID_TOP + index / columns * pitch;
	uint32_t side = pitch - 1 - pitch / 32;
	uint32_t foot = (side + 1) / 3;
	unsigned int first = main_kind(&p->survey->cell[index]);
	unsigned int other = other_kind(p->survey, index, first);

	fprintf(to, "<g>");
	put_cell_title(p, index, to);
	fprintf(to, "<rect class=\"k%u\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"%u\"/>",
		first, x, y, side, side, corner(first, side));
	if (other != QC_SURVEY_KINDS)
		fprintf(to,
			"<rect class=\"k%u\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
			"rx=\"%u\"/>",
			other, x, y + side - foot, side, foot, corner(other, foot));
	fprintf(to, "</g>\n");
}

/* --- the legend --- */

static uint32_t legend_height(const struct qc_survey *survey)
{
	uint32_t entries = 0;

	for (unsigned int i = 0; i < QC_SURVEY_KINDS; i++)
		entries += survey->total.clusters[i] > 0;
	return (entries + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS * LEGEND_LINE;
}

static void put_legend(const struct survey_picture *p, uint32_t top, FILE *to)
{
	const uint32_t column_width = INNER / LEGEND_COLUMNS;
	uint32_t entry = 0;

	for (unsigned int i = 0; i < QC_SURVEY_KINDS; i++) {
		uint64_t clusters = p->survey->total.clusters[i];
		uint32_t x = MARGIN + entry % LEGEND_COLUMNS * column_width;
		uint32_t y = top + entry / LEGEND_COLUMNS * LEGEND_LINE;

		if (clusters == 0)
			continue;
		entry++;
		fprintf(to,
			"<rect class=\"k%u\" x=\"%u\" y=\"%u\" width=\"14\" height=\"14\" "
			"rx=\"%u\"/><text x=\"%u\" y=\"%u\">%s</text>"
			"<text class=\"soft\" x=\"%u\" y=\"%u\">%s, ",
			i, x, y, i == QC_SURVEY_LEAKED ? 7 : 3, x + 22, y + 12, kinds[i].name,
			x + 22, y + 30, size_of(p, clusters).text);
		put_percent(to, clusters, p->survey->clusters);
		fputs("</text>\n", to);
	}
}

/* --- the plot --- */

static bool has_plot(const struct survey_picture *p)
{
	return qc_bitset_next(&p->survey->plot, 0) < p->survey->plot.bits;
}

static uint32_t plot_height(const struct survey_picture *p)
{
	return has_plot(p) ? PLOT_HEIGHT + 40 : 32;
}

/* One stroke for dots that are side by side. */
static void put_dots(const struct qc_bitset *plot, uint32_t row, uint32_t y, FILE *to)
{
	uint64_t start = (uint64_t)row * QC_SURVEY_COLUMNS;
	uint64_t end = start + QC_SURVEY_COLUMNS;

	for (uint64_t first = qc_bitset_next(plot, start), next; first < end;
	     first = qc_bitset_next(plot, next)) {
		next = qc_min(end, qc_bitset_next_absent(plot, first));
		fprintf(to, "M%" PRIu64 " %uh%" PRIu64 "\n", MARGIN + (first - start) * DOT, y,
			(next - first) * DOT);
	}
}

static void put_quarters(uint32_t top, FILE *to)
{
	fputs("<path class=\"line\" d=\"", to);
	for (unsigned int i = 1; i < 4; i++)
		fprintf(to, "M%u %uv%uM%u %uh%u", MARGIN + i * INNER / 4, top, PLOT_HEIGHT, MARGIN,
			top + i * PLOT_HEIGHT / 4, INNER);
	fputs("\"/>\n", to);
}

/* What there is to say when no part of the disk has a place in the file. */
static void put_no_plot(const struct survey_picture *p, uint32_t top, FILE *to)
{
	fprintf(to, "<text class=\"soft\" x=\"%u\" y=\"%u\">%s</text>\n", MARGIN, top + 8,
		p->geometry->external_data ? "what the disk holds is in an external data file"
					   : "no part of the disk is stored in this file");
}

static void put_plot(const struct survey_picture *p, uint32_t top, FILE *to)
{
	put_quarters(top, to);
	fprintf(to,
		"<path class=\"dots\" stroke-width=\"%u\" transform=\"translate(0 %u.%u)\" d=\"",
		DOT, DOT / 2, DOT % 2 * 5);
	for (uint32_t row = QC_SURVEY_ROWS; row-- > 0;)
		put_dots(&p->survey->plot, row, top + (QC_SURVEY_ROWS - 1 - row) * DOT, to);
	fprintf(to,
		"\"/>\n<text class=\"soft\" x=\"%u\" y=\"%u\">→ the disk, from 0 to %s</text>\n",
		MARGIN, top + PLOT_HEIGHT + 20, emit_size(p->disk_bytes).text);
	fprintf(to, "<text class=\"soft end\" x=\"%u\" y=\"%u\">↑ the file, from 0 to %s</text>\n",
		WIDTH - MARGIN, top + PLOT_HEIGHT + 20, emit_size(p->file_bytes).text);
}

static void put_fragmentation(const struct survey_picture *p, uint32_t top, FILE *to)
{
	const struct qc_check_result *check = &p->survey->check;

	fprintf(to,
		"<text class=\"part\" x=\"%u\" y=\"%u\">Fragmentation: where the disk lies in the file</text>\n",
		MARGIN, top - 12);
	if (!has_plot(p)) {
		put_no_plot(p, top, to);
		return;
	}
	fprintf(to, "<text class=\"soft end\" x=\"%u\" y=\"%u\">", WIDTH - MARGIN, top - 12);
	put_percent(to, check->fragmented_clusters, check->allocated_clusters);
	fprintf(to,
		" of the disk's %" PRIu64 " clusters are fragmented, as `check` counts</text>\n",
		check->allocated_clusters);
	fprintf(to,
		"<rect class=\"frame\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"4\"/>\n",
		MARGIN, top, INNER, PLOT_HEIGHT);
	put_plot(p, top, to);
}

int survey_svg(const struct survey_picture *picture, FILE *to, struct qc_err *err)
{
	const struct qc_survey *survey = picture->survey;
	uint32_t legend_top = GRID_TOP + grid_height(survey) + 20;
	uint32_t plot_top = legend_top + legend_height(survey) + 44;
	int rc = put_head(picture, plot_top + plot_height(picture), to, err);

	for (uint32_t i = 0; i < survey->cells; i++)
		put_cell(picture, i, to);
	put_legend(picture, legend_top, to);
	put_fragmentation(picture, plot_top, to);
	fputs("</svg>\n", to);
	return rc;
}
