/* Two pictures of a tuning: its sizes with the classes' boundaries, and the curve of waste against the number of classes. */
#include "base/utf8.h"
#include "command.h"
#include "output.h"
#include "tune_report.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    WIDTH = 960,
    HEIGHT = 440,
    LEFT = 70,
    RIGHT = 24,
    TOP = 64,
    BOTTOM = 70,
    PLOT_WIDTH = WIDTH - LEFT - RIGHT,
    PLOT_HEIGHT = HEIGHT - TOP - BOTTOM,
    COLUMNS = 220, /* of the histogram */
    TICK_GAP = 18,
};

#define TUNED "#0b6e99"
#define PLAIN "#9aa0a6"
#define BARS  "#f0b45b"
#define SUMS  "#b4472e"
#define OTHER "#6b4fa0"
#define LEAST ((double)CLASS_LEAST)

struct picture {
    FILE *file;
    double most; /* at the top of the vertical axis */
};

static double down(const struct picture *picture, double value)
{
    return TOP + PLOT_HEIGHT * (1 - value / picture->most);
}

/* Sizes on a logarithmic axis, 16 bytes to 64 KiB. */
static double across(double size)
{
    return LEFT + PLOT_WIDTH * log2(fmax(size, LEAST) / LEAST) / log2(SIZE_TOP / LEAST);
}

/* ------------------------------------------------------------------ parts of a picture */

static void begin(struct picture *picture, const char *title, const char *subtitle)
{
    fprintf(picture->file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#333\">\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
            "<text x=\"%d\" y=\"26\" font-size=\"16\" font-weight=\"bold\">%s</text>\n"
            "<text x=\"%d\" y=\"46\" fill=\"#666\">%s</text>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, title, LEFT, subtitle);
}

static void text(const struct picture *picture, double x, double y, const char *anchor, const char *colour,
                 const char *words)
{
    fprintf(picture->file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n", x, y, anchor,
            colour, words);
}

static void line(const struct picture *picture, double x1, double y1, double x2, double y2, const char *colour,
                 double width)
{
    fprintf(picture->file,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%.1f\"/>\n", x1, y1, x2,
            y2, colour, width);
}

/* The least of these, times a power of ten, that is not below: four lines of it have round numbers. */
static double round_up(double value)
{
    static const double steps[] = {12, 16, 20, 24, 32, 40, 60, 80, 100};
    double power = pow(10, floor(log10(fmax(value, 1e-5))) - 1);
    size_t i = 0;
    while (steps[i] * power < value && i + 1 < sizeof steps / sizeof *steps)
        i++;
    return steps[i] * power;
}

/* Four lines across, a part of the whole at each. */
static void vertical_axis(const struct picture *picture)
{
    for (unsigned i = 0; i <= 4; i++) {
        char words[32];
        double value = picture->most * i / 4;
        snprintf(words, sizeof words, "%.3g %%", 100 * value);
        line(picture, LEFT, down(picture, value), WIDTH - RIGHT, down(picture, value), i ? "#e6e6e6" : "#333", 1);
        text(picture, LEFT - 8, down(picture, value) + 4, "end", "#666", words);
    }
}

static void size_axis(const struct picture *picture)
{
    for (unsigned size = CLASS_LEAST; size <= SIZE_TOP; size *= 2) {
        char words[16];
        if (size < 1024)
            snprintf(words, sizeof words, "%u", size);
        else
            snprintf(words, sizeof words, "%u K", size / 1024);
        line(picture, across(size), TOP + PLOT_HEIGHT, across(size), TOP + PLOT_HEIGHT + 5, "#333", 1);
        text(picture, across(size), TOP + PLOT_HEIGHT + TICK_GAP, "middle", "#666", words);
    }
}

/* A character or an escape as SVG has it: some mean something else there, and XML knows no control characters. */
static int escape_piece(char *to, size_t size, const char *piece)
{
    const char *escaped = *piece == '<' ? "&lt;" : *piece == '>' ? "&gt;" : *piece == '&' ? "&amp;" : piece;
    if ((unsigned char)*piece < ' ')
        return snprintf(to, size, "\\x%02x", (unsigned)*piece);
    return snprintf(to, size, "%s", escaped);
}

/* A key's name, which may have any bytes. */
static void escape(char *to, size_t size, const char *from)
{
    enum { LONGEST = 6 };
    bool plain = utf8_is_plain(from);
    char piece[UTF8_PIECE];
    size_t at = 0;
    to[0] = '\0';
    while (*from && at + LONGEST <= size) {
        size_t length = utf8_escape(from, piece);
        if (plain)
            snprintf(piece, sizeof piece, "%.*s", (int)length, from);
        at += (size_t)escape_piece(to + at, size - at, piece);
        from += length;
    }
}

/* ------------------------------------------------------------------ sizes */

/* The part of the bytes that falls in each column of the axis. */
static double fill_columns(const struct tuning *tuning, double columns[COLUMNS])
{
    double sum = 0;
    double most = 0;
    memset(columns, 0, COLUMNS * sizeof *columns);
    for (uint32_t granule = 1; granule < GRANULES; granule++) {
        int column = (int)((across(granule * GRANULE) - LEFT) * (COLUMNS - 1) / PLOT_WIDTH);
        columns[column] += tuning->all.bytes[granule];
        sum += tuning->all.bytes[granule];
    }
    for (unsigned i = 0; i < COLUMNS; i++) {
        columns[i] = sum > 0 ? columns[i] / sum : 0;
        most = fmax(most, columns[i]);
    }
    return most;
}

static void draw_boundaries(const struct picture *picture, const struct size_table *table, double y, const char *colour,
                            const char *name)
{
    for (uint32_t i = 0; i < table->count; i++)
        line(picture, across(table->bytes[i]), y, across(table->bytes[i]), y + 8, colour, 1.5);
    text(picture, LEFT - 8, y + 8, "end", colour, name);
}

static void draw_sizes(struct picture *picture, const struct tuning *tuning, const char *name)
{
    char title[512];
    char subtitle[512];
    double columns[COLUMNS];
    const struct spending *tuned = &tuning->rows[ROW_TUNED].all;
    const struct spending *plain = &tuning->rows[ROW_DEFAULT].all;
    picture->most = round_up(fill_columns(tuning, columns));
    snprintf(title, sizeof title, "Sizes of blocks: %s", name);
    snprintf(subtitle, sizeof subtitle,
             "%" PRIu64 " blocks; height: part of %s. Lost inside blocks: %.2f %% with the tuned classes, %.2f %% with "
             "the default ones",
             tuning->blocks, tuning->by_time ? "the bytes that are live on average" : "all bytes",
             100 * internal_part(tuned), 100 * internal_part(plain));
    begin(picture, title, subtitle);
    vertical_axis(picture);
    const struct size_table *table = &tuning->rows[ROW_TUNED].table;
    for (uint32_t i = 0; i < table->count; i++)
        line(picture, across(table->bytes[i]), TOP, across(table->bytes[i]), TOP + PLOT_HEIGHT, "#cfe3ec", 1);
    for (unsigned i = 0; i < COLUMNS; i++)
        if (columns[i] > 0)
            fprintf(picture->file, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n",
                    LEFT + (double)PLOT_WIDTH * i / COLUMNS, down(picture, columns[i]),
                    (double)PLOT_WIDTH / COLUMNS - 0.4, PLOT_HEIGHT * columns[i] / picture->most, BARS);
    size_axis(picture);
    draw_boundaries(picture, table, TOP + PLOT_HEIGHT + TICK_GAP + 10, TUNED, "tuned");
    draw_boundaries(picture, &tuning->rows[ROW_DEFAULT].table, TOP + PLOT_HEIGHT + TICK_GAP + 26, PLAIN, "default");
}

/* ------------------------------------------------------------------ the curve */

static double count_across(double count)
{
    return LEFT + PLOT_WIDTH * count / (CLASSES_MOST + 1);
}

/* The part that is spent in all, or inside of blocks alone. */
static double part_of(const struct spending *spending, bool of_all)
{
    return (of_all ? overhead(spending) : spending->internal) / (spending->asked + spending->internal);
}

static void draw_line(const struct picture *picture, const struct tuning *tuning, double threads, bool of_all)
{
    const char *colour = of_all ? SUMS : TUNED;
    double x = LEFT;
    double y = TOP;
    fprintf(picture->file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", colour);
    for (uint32_t n = 1; n <= CLASSES_MOST; n++) {
        if (!isfinite(tuning->costs[n - 1]))
            continue;
        struct spending spending = tuning_spend_all(tuning, &tuning->tables[n - 1], threads);
        if (part_of(&spending, of_all) > picture->most)
            continue;
        x = count_across(n);
        y = down(picture, part_of(&spending, of_all));
        fprintf(picture->file, "%.1f,%.1f ", x, y);
    }
    fputs("\"/>\n", picture->file);
    text(picture, x, of_all ? y - 8 : y + 16, "end", colour, of_all ? "in all" : "inside blocks");
}

static void draw_point(const struct picture *picture, const struct row *row, const char *colour)
{
    char words[128];
    double x = count_across(row->table.count);
    double y = down(picture, fmin(part_of(&row->all, true), picture->most));
    fprintf(picture->file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"/>\n", x, y, colour);
    snprintf(words, sizeof words, "%s: %.2f %%", row->name, 100 * part_of(&row->all, true));
    text(picture, x, y - 10, "middle", colour, words);
}

static void draw_curve(struct picture *picture, const struct tuning *tuning, const char *name, double threads)
{
    char title[512];
    const struct spending *plain = &tuning->rows[ROW_DEFAULT].all;
    const struct spending *jemalloc = &tuning->rows[ROW_JEMALLOC].all;
    picture->most = round_up(1.25 * fmax(part_of(plain, true), part_of(jemalloc, true)));
    snprintf(title, sizeof title, "What a number of classes loses: %s", name);
    begin(picture, title,
          "What the best table of each number of classes loses, as a part of the blocks' bytes; in all: slab tails and "
          "partial groups too");
    vertical_axis(picture);
    for (unsigned of_all = 0; of_all < 2; of_all++)
        draw_line(picture, tuning, threads, of_all);
    for (unsigned n = 0; n <= CLASSES_MOST; n += 8) {
        char words[16];
        snprintf(words, sizeof words, "%u", n);
        text(picture, count_across(n), TOP + PLOT_HEIGHT + TICK_GAP, "middle", "#666", words);
    }
    text(picture, LEFT + PLOT_WIDTH / 2.0, TOP + PLOT_HEIGHT + 2 * TICK_GAP, "middle", "#666", "classes");
    draw_point(picture, &tuning->rows[ROW_DEFAULT], PLAIN);
    draw_point(picture, &tuning->rows[ROW_JEMALLOC], OTHER);
    draw_point(picture, &tuning->rows[ROW_TUNED], TUNED);
}

/* ------------------------------------------------------------------ files */

static bool draw_file(const struct tuning *tuning, const char *folder, const char *what, double threads)
{
    char path[4096];
    char safe[KEY_NAME];
    char name[256];
    struct output output;
    const char *plain = tuning->name ? tuning->name : "all keys";
    snprintf(safe, sizeof safe, "%s", plain);
    for (char *at = safe; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-_.", *at))
            *at = '-';
    if ((size_t)snprintf(path, sizeof path, "%s/%s-%s.svg", folder, safe, what) >= sizeof path) {
        complain("%s: %s", path, strerror(ENAMETOOLONG));
        return false;
    }
    if (!output_open(&output, path))
        return false;
    struct picture picture = {.file = output.file};
    escape(name, sizeof name, plain);
    if (!strcmp(what, "sizes"))
        draw_sizes(&picture, tuning, name);
    else
        draw_curve(&picture, tuning, name, threads);
    fputs("</svg>\n", picture.file);
    return output_close(&output);
}

bool tune_report_svg(const struct report *report, const char *folder)
{
    if (mkdir(folder, 0777) && errno != EEXIST) {
        complain("%s: %s", folder, strerror(errno));
        return false;
    }
    for (uint32_t i = 0; i < report->tunings->count; i++)
        if (!draw_file(&report->tunings->tunings[i], folder, "sizes", report->options->limits.threads) ||
            !draw_file(&report->tunings->tunings[i], folder, "curve", report->options->limits.threads))
            return false;
    return true;
}
