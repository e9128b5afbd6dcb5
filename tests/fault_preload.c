/*
 * Preloaded into a program of a build with -Dcheck=true: the call to the outside that KEYSLAB_FAULT_AFTER counts to
 * fails. The file that KEYSLAB_FAULT_LEFT names says at the end how many calls were left to it, 0 when it has failed.
 */
#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>

static void __attribute__((constructor)) arm(void)
{
    const char *after = getenv("KEYSLAB_FAULT_AFTER");
    if (after)
        ks_fault_after(atol(after));
}

static void __attribute__((destructor)) tell(void)
{
    const char *path = getenv("KEYSLAB_FAULT_LEFT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file)
        return;
    fprintf(file, "%ld\n", ks_fault_left());
    fclose(file);
}
