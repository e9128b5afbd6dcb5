/* Faults, schedule points and nodes: see testing.h. Compiled with -Dcheck=true only. */
#include "base/testing.h"

#include "base/platform.h"

/* ------------------------------------------------------------------ faults */

static long fault_countdown; /* any, atomic */

void ks_fault_after(long calls)
{
    store_release(&fault_countdown, calls);
}

long ks_fault_left(void)
{
    return load_acquire(&fault_countdown);
}

bool fault_is_due(void)
{
    long left = load_relaxed(&fault_countdown);
    while (left > 0 && !cas(&fault_countdown, &left, left - 1))
        ;
    return left == 1;
}

/* ------------------------------------------------------------------ schedule points */

static ks_point_hook *point_hook; /* any, atomic */

void ks_point_set(ks_point_hook *hook)
{
    store_release(&point_hook, hook);
}

void point_reached(const char *name)
{
    ks_point_hook *hook = load_acquire(&point_hook);
    if (hook)
        hook(name);
}

/* ------------------------------------------------------------------ nodes */

static THREAD_LOCAL int node_set = KS_NODE_OF_SYSTEM;

void ks_node_set(int node)
{
    node_set = node;
}

bool node_is_set(unsigned *node)
{
    *node = (unsigned)node_set;
    return node_set != KS_NODE_OF_SYSTEM;
}
