#include "core/start.h"

#include "base/stretch.h"
#include "classes/tables.h"
#include "core/heap.h"
#include "core/key.h"
#include "core/message.h"

static bool started;

static void start(void)
{
    tables_start();
    started = window_start() && key_start() && range_start(sizeof(struct slab)) && arena_start() && message_start() &&
              heap_start() && thread_start();
}

bool library_start(void)
{
    platform_once(ONCE_LIBRARY, start);
    return started;
}
