/* Traces of others, as text: Android's memory_replay, and heaptrack's raw and interpreted files. */
#include "command.h"
#include "input_path.h"
#include "lines.h"
#include "source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of a file that names no program. */
static const char *key_name(const struct source *source)
{
    return base_name(input_path_is_standard(source->name) ? source->path : source->name);
}

/* ------------------------------------------------------------------ memory_replay
 *
 *     THREAD: malloc ADDRESS SIZE [BEGIN END]
 *     THREAD: calloc ADDRESS COUNT SIZE [BEGIN END]
 *     THREAD: memalign ADDRESS ALIGNMENT SIZE [BEGIN END]
 *     THREAD: realloc NEW OLD SIZE [BEGIN END]
 *     THREAD: free ADDRESS [BEGIN END]
 *     THREAD: thread_done ADDRESS [BEGIN END]
 *
 * BEGIN and END are nanoseconds; without them the lines are the clock.
 */
enum { FIELDS_MOST = 5 };

struct replay_line {
    char name[16];
    unsigned count; /* of numbers */
    uint64_t numbers[FIELDS_MOST];
};

static bool parse_replay(const char *text, struct replay_line *line)
{
    int at = 0;
    unsigned thread;
    line->count = 0;
    if (sscanf(text, "%u: %15[a-z_]%n", &thread, line->name, &at) != 2)
        return false;
    for (const char *field = text + at; *field; line->count++) {
        char *end;
        field += strspn(field, " \t\r");
        if (!*field)
            break;
        if (line->count == FIELDS_MOST)
            return false;
        line->numbers[line->count] = strtoull(field, &end, 0);
        if (end == field || (*end && !strchr(" \t\r", *end)))
            return false;
        field = end;
    }
    return true;
}

static const struct {
    const char *name;
    unsigned numbers;
} replay_calls[] = {{"malloc", 2}, {"calloc", 3}, {"memalign", 3}, {"realloc", 3}, {"free", 1}, {"thread_done", 1}};

enum { MALLOC, CALLOC, MEMALIGN, REALLOC, FREE, THREAD_DONE, CALLS };

/* Which call the line is, by its name and number of fields; CALLS for none. */
static unsigned call_of(const struct replay_line *line)
{
    unsigned call = 0;
    while (call < CALLS && strcmp(line->name, replay_calls[call].name))
        call++;
    if (call == CALLS)
        return CALLS;
    unsigned more = line->count - replay_calls[call].numbers;
    return more == 0 || more == 2 ? call : CALLS;
}

/* Times never go back. */
static uint64_t time_of(const struct replay_line *line, unsigned call, uint64_t before)
{
    if (line->count == replay_calls[call].numbers)
        return before + 1;
    uint64_t begun = line->numbers[line->count - 2];
    return begun > before ? begun : before;
}

static void tally_call(struct tally *tally, uint32_t key, const struct replay_line *line, unsigned call, uint64_t time)
{
    const uint64_t *numbers = line->numbers;
    switch (call) {
    case FREE:
        if (numbers[0])
            tally_free(tally, numbers[0], time);
        break;
    case MALLOC:
        tally_alloc(tally, key, numbers[0], numbers[1], time);
        break;
    case CALLOC:
        tally_alloc(tally, key, numbers[0], numbers[1] * numbers[2], time);
        break;
    case REALLOC:
        if (numbers[1])
            tally_free(tally, numbers[1], time);
        tally_alloc(tally, key, numbers[0], numbers[2], time);
        break;
    case MEMALIGN:
        tally_alloc(tally, key, numbers[0], numbers[2], time);
        break;
    default:
        break;
    }
}

bool source_read_replay(struct input *input, struct tally *tally, struct source *source)
{
    struct lines lines;
    uint64_t expected;
    source->kind = "memory_replay trace";
    source->unit = "lines";
    source->program = true;
    if (!lines_count(input, &expected) || !lines_open(&lines, input))
        return false;
    uint32_t key = tally_key(tally, key_name(source));
    uint64_t time = 0;
    bool good = true;
    tally_begin(tally, expected, 0);
    while (good && lines_next(&lines)) {
        struct replay_line line;
        if (!*lines.line)
            continue;
        unsigned call = parse_replay(lines.line, &line) ? call_of(&line) : CALLS;
        good = call < CALLS || lines_bad(&lines, "'THREAD: CALL ADDRESS...'");
        if (!good)
            break;
        time = time_of(&line, call, time);
        if (lines.number == 1)
            tally->start = time;
        tally->events = lines.number;
        tally_call(tally, key, &line, call, time);
    }
    source->events = lines.number;
    tally_end(tally, time, true);
    source->broken = !lines_close(&lines);
    return good;
}

/* ------------------------------------------------------------------ heaptrack
 *
 * All numbers are hexadecimal. The raw file says
 *
 *     + SIZE TRACE ADDRESS
 *     - ADDRESS
 *
 * the interpreted one names each pair of size and place once, and does not say which of equal blocks is freed:
 *
 *     a SIZE TRACE
 *     + NUMBER-OF-THE-PAIR
 *     - NUMBER-OF-THE-PAIR
 *
 * In both, "c TIME" is the clock in milliseconds and "X COMMAND" the program. Other lines tell of places in the code.
 */
struct heaptrack {
    struct tally *tally;
    const char *name; /* of the key, while the program's is not known */
    uint32_t key;
    uint64_t time;
    uint64_t pairs_count;
    struct pair {
        uint64_t size;
        uint64_t live;
    } * pairs;
};

enum { MILLISECOND = 1000000, PAIR_SHIFT = 32 };

static bool add_pair(struct heaptrack *heaptrack, uint64_t size)
{
    uint64_t count = heaptrack->pairs_count;
    if (!(count & (count - 1))) {
        void *pairs = realloc(heaptrack->pairs, (count ? count * 2 : 1) * sizeof *heaptrack->pairs);
        if (!pairs)
            return false;
        heaptrack->pairs = pairs;
    }
    heaptrack->pairs[heaptrack->pairs_count++] = (struct pair){.size = size};
    return true;
}

/* Of equal blocks the last is freed first: it stands for an address. */
static bool tally_pair(struct heaptrack *heaptrack, bool alloc, uint64_t number)
{
    if (number >= heaptrack->pairs_count)
        return false;
    struct pair *pair = &heaptrack->pairs[number];
    uint64_t base = (number + 1) << PAIR_SHIFT;
    if (alloc)
        tally_alloc(heaptrack->tally, heaptrack->key, base + ++pair->live * 16, pair->size, heaptrack->time);
    else
        tally_free(heaptrack->tally, base + (pair->live ? pair->live-- : 0) * 16, heaptrack->time);
    return true;
}

static void name_program(struct heaptrack *heaptrack, char *command)
{
    command[strcspn(command, " ")] = 0;
    heaptrack->key = tally_key(heaptrack->tally, base_name(command));
}

static bool tally_heaptrack(struct heaptrack *heaptrack, char *line)
{
    uint64_t numbers[3];
    if (line[0] == 'X') {
        if (line[1] == ' ')
            name_program(heaptrack, line + 2);
        return true;
    }
    if (!*line || !strchr("+-ac", *line))
        return true;
    int count = sscanf(line + 1, " %" SCNx64 " %" SCNx64 " %" SCNx64, &numbers[0], &numbers[1], &numbers[2]);
    if (heaptrack->key == UINT32_MAX)
        heaptrack->key = tally_key(heaptrack->tally, heaptrack->name);
    switch (*line) {
    case 'c':
        heaptrack->time = numbers[0] * MILLISECOND;
        return count == 1;
    case 'a':
        return count == 2 && add_pair(heaptrack, numbers[0]);
    case '+':
        if (count == 1)
            return tally_pair(heaptrack, true, numbers[0]);
        if (count == 3)
            tally_alloc(heaptrack->tally, heaptrack->key, numbers[2], numbers[0], heaptrack->time);
        return count == 3;
    default:
        if (heaptrack->pairs_count)
            return count == 1 && tally_pair(heaptrack, false, numbers[0]);
        if (count == 1)
            tally_free(heaptrack->tally, numbers[0], heaptrack->time);
        return count == 1;
    }
}

bool source_read_heaptrack(struct input *input, struct tally *tally, struct source *source)
{
    struct lines lines;
    uint64_t expected;
    source->kind = "heaptrack file";
    source->unit = "lines";
    source->program = true;
    if (!lines_count(input, &expected) || !lines_open(&lines, input))
        return false;
    struct heaptrack heaptrack = {.tally = tally, .name = key_name(source), .key = UINT32_MAX};
    bool good = true;
    tally_begin(tally, expected, 0);
    while (good && lines_next(&lines)) {
        tally->events = lines.number;
        good = tally_heaptrack(&heaptrack, lines.line);
        if (!good)
            lines_bad(&lines, "a line of heaptrack's, version 3");
    }
    source->events = lines.number;
    tally_end(tally, heaptrack.time, true);
    free(heaptrack.pairs);
    source->broken = !lines_close(&lines);
    return good;
}
