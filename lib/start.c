#include "start.h"

#include "arena.h"
#include "holder.h"
#include "key.h"
#include "magazine.h"
#include "stretch.h"
#include "tables.h"

static bool started;

static void start(void)
{
    tables_start();
    started = window_start() && key_start() && arena_start() && magazine_start() && heap_start() &&
              thread_start(heaps_leave, heaps_inherit);
}

bool library_start(void)
{
    platform_once(ONCE_LIBRARY, start);
    return started;
}
