/* A plugin that allocates as it is loaded, and frees as it leaves. */
#include <stdlib.h>
#include <string.h>

char *plugin_name(void);
void plugin_take(void *block);

static char *name;
static void *taken;

__attribute__((constructor)) static void begin(void)
{
    name = strdup("made in a constructor");
}

char *plugin_name(void)
{
    return name;
}

void plugin_take(void *block)
{
    taken = block;
}

__attribute__((destructor)) static void end(void)
{
    free(taken);
}
