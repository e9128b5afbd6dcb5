/* What a thread was doing, by its stack: whether it may be unwound, and the calls for the report. */
#include "contain.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <keyslab/keyslab.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

/* Functions that work under a lock of their own, which who leaves them half way would leave locked. */
static const char *const locking[] = {"malloc",        "free",           "calloc",   "realloc",
                                      "aligned_alloc", "posix_memalign", "memalign", "dl_iterate_phdr"};

enum { LOCKING = sizeof locking / sizeof *locking };

static struct span program;
static struct span library;
static struct span loader;
static struct span locks[LOCKING];

struct search {
    uintptr_t address;
    struct span found;
};

static int span_of_object(struct dl_phdr_info *object, size_t size, void *context)
{
    (void)size;
    struct search *search = context;
    struct span span = {UINTPTR_MAX, 0};
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        uintptr_t start = object->dlpi_addr + part->p_vaddr;
        if (part->p_type != PT_LOAD)
            continue;
        if (start < span.start)
            span.start = start;
        if (start + part->p_memsz > span.end)
            span.end = start + part->p_memsz;
    }
    if (!span_has(&span, search->address))
        return 0;
    search->found = span;
    return 1;
}

struct span walk_span(const void *address)
{
    struct search search = {.address = (uintptr_t)address};
    dl_iterate_phdr(span_of_object, &search);
    return search.found;
}

static struct span span_of_function(const char *name)
{
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    void *function = dlsym(RTLD_DEFAULT, name);
    if (!function || !dladdr1(function, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol)
        return (struct span){0};
    return (struct span){(uintptr_t)function, (uintptr_t)function + symbol->st_size};
}

void walk_begin(void)
{
    void *primed[2];
    program = walk_span((void *)(uintptr_t)walk_begin);
    library = walk_span(dlsym(RTLD_DEFAULT, "ks_thread_is_inside"));
    loader = walk_span((void *)getauxval(AT_BASE));
    for (size_t i = 0; i < LOCKING; i++)
        locks[i] = span_of_function(locking[i]);
    /* The first call loads what it needs, which handlers must not. */
    backtrace(primed, 2);
}

static bool is_locking(uintptr_t address)
{
    bool is = false;
    for (size_t i = 0; i < LOCKING; i++)
        is |= span_has(&locks[i], address);
    return is;
}

void walk_call(const struct span *module, uintptr_t address, struct walk *walk)
{
    bool is_host = span_has(&program, address) || span_has(&library, address);
    walk->in_loader |= span_has(&loader, address);
    walk->in_lock |= walk->in_loader || is_locking(address);
    if (span_has(module, address))
        walk->found = true;
    else if (!walk->found)
        walk->in_host |= is_host;
    if (walk->calls.count < FAILURE_DEPTH)
        walk->calls.at[walk->calls.count++] = (void *)address;
}

/* The last calls are the host's, and what begins threads: nobody asks for them. */
static bool is_base(const struct walk *walk, uintptr_t address)
{
    return walk->found && span_has(&program, address);
}

void walk_stack(const struct span *module, uintptr_t at, struct walk *walk)
{
    void *stack[WALK_MOST];
    /* Where the stack does not lead there, or is broken, this address is all that is known. */
    walk_call(module, at, walk);
    int depth = backtrace(stack, WALK_MOST);
    int i = 0;
    while (i < depth && (uintptr_t)stack[i] != at)
        i++;
    for (i++; i < depth && !is_base(walk, (uintptr_t)stack[i]); i++)
        walk_call(module, (uintptr_t)stack[i] - 1, walk);
}
