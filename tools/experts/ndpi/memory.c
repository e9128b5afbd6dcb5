#include "memory.h"

#include <ndpi_api.h>
#include <ndpi_main.h>
#include <stdlib.h>
#include <string.h>

enum choice { CHOICE_KEY, CHOICE_CLEAN, CHOICE_MALLOC, CHOICES };

static const char *const names[CHOICES] = {"key", "clean", "malloc"};

static enum choice choice; /* CHOICES for none of them */

/* One load: the module is a library that is opened late, whose thread-local names are calls otherwise. */
__attribute__((tls_model("initial-exec"))) _Thread_local HEXPERTKEY memory_key;

static void *allocate(size_t size)
{
    return ExpertAllocMemory(memory_key, size, NULL);
}

static void release(void *block)
{
    ExpertFreeMemory(memory_key, block);
}

void memory_hook(void)
{
    const char *name = getenv(MEMORY_VARIABLE);
    for (choice = CHOICE_KEY; name && choice < CHOICES && strcmp(name, names[choice]);)
        choice++;
    if (choice == CHOICE_MALLOC)
        return;
    /* A flow's free hook would have to take the flow apart: without it the library does, and calls the other one. */
    set_ndpi_malloc(allocate);
    set_ndpi_flow_malloc(allocate);
    set_ndpi_free(release);
}

bool memory_is_chosen(void)
{
    return choice < CHOICES;
}

bool memory_is_cleaned(void)
{
    return choice == CHOICE_CLEAN || choice == CHOICE_MALLOC;
}
