/* Keys: ks_key_create, ks_key_reset, ks_key_terminate, ks_key_destroy, ks_key_purge. */
#include "core/key.h"
#include "api/options.h"
#include "checks/paranoid.h"
#include "classes/tables.h"
#include "core/maintenance.h"
#include "core/message.h"
#include "core/start.h"
#include "trace/traced.h"
#include "trace/tracing.h"

#include <string.h>

#define DESTROY_ROUNDS 3

static const struct classes *classes_of(const struct settings *settings)
{
    return tables_share(&(struct class_choice){
        .sizes = settings->sizes,
        .count = settings->sizes_count,
    });
}

/* Whole slabs, of the key's size. */
static void key_set_retain(struct key *key, uint64_t bytes)
{
    bool is_auto = bytes == RETAIN_AUTO;
    key->retain_least = is_auto ? 0 : bytes / key->slab_bytes;
    key->retain_most = is_auto ? RETAIN_AUTO : bytes / key->slab_bytes;
}

/* False where all arenas that a key may own are in use. */
static bool arena_choose(const struct settings *settings, ks_key_t handle, struct arena_choice *arena)
{
    uint64_t where = settings->values[SET_ARENA];
    bool huge = settings->values[SET_HUGE_PAGES] == HUGE_PAGES_ON;
    *arena = arena_shared(KEY_INDEX(handle), where == ARENA_NODE, huge);
    return where != ARENA_KEY || arena_own(setting_decay(settings), huge, arena);
}

/* The key's own copy of what it has been given. False without memory, or where all arenas that a key may own are in use. */
static bool key_furnish(struct key *key, ks_key_t handle, const struct settings *settings)
{
    /* First: the arena of the slot's last key must not be given back a second time, whatever fails. */
    if (!arena_choose(settings, handle, &key->arena))
        return false;
    key->classes = classes_of(settings);
    if (!key->classes)
        return false;
    key->quota = settings->values[SET_QUOTA];
    key->outbox_bytes = settings->values[SET_OUTBOX];
    key->slab_bytes = setting_slab(settings);
    key_set_retain(key, settings->values[SET_RETAIN]);
    key->flush = (uint32_t)settings->values[SET_FLUSH];
    key->response = (uint32_t)settings->values[SET_ON_ERROR];
    key->checks = settings->values[SET_CHECK] == CHECK_PARANOID ? &checks_paranoid : NULL;
    key->seed = key->checks ? platform_random() : 0;
    key->trace = tracing_key(settings);
    return true;
}

/* The key is complete before its handle is stored where lookups compare it (C2.1). */
ks_status ks_key_create(const struct ks_key_options *options, ks_key_t *handle)
{
    static const struct ks_key_options defaults;
    if (!options)
        options = &defaults;
    if (!handle)
        return KS_INVALID;
    *handle = 0;
    if (!library_start())
        return KS_NO_MEMORY;
    struct settings settings;
    if (!options_settle(options, &settings))
        return KS_INVALID;
    ks_key_t taken;
    struct key *key = key_take(&taken);
    if (key && !key_furnish(key, taken, &settings)) {
        key_release(key);
        key = NULL;
    }
    if (!key)
        return KS_NO_MEMORY;
    key->on_error = options->on_error;
    key->on_error_context = options->on_error_context;
    memset(key->name, 0, sizeof key->name);
    if (options->name)
        strncpy(key->name, options->name, sizeof key->name - 1);
    POINT("create: slot taken");
    /* From here on the handle is good, in every thread that is given it. */
    store_ordered(&key->control, taken);
    if (key->trace)
        traced_name(key);
    *handle = taken;
    return KS_OK;
}

/*
 * Takes the handle out of every thread's table, so that each finds out on its next call. The key was changed
 * before: a thread that puts the handle back looks at the key again afterwards (C3.3).
 */
static void handles_clear(struct key *key)
{
    for (struct heap *heap = load_ordered(&key->heaps); heap; heap = heap->key_next) {
        store_ordered(&load_ordered(&heap->entry)->handle, (ks_key_t)0);
        POINT("key: a handle cleared");
    }
    POINT("key: handles cleared");
}

/* Raises the generation, then clears the handles, in this order (C3.3). */
ks_status ks_key_reset(ks_key_t handle)
{
    struct key *key = key_reference(handle);
    if (!key)
        return KS_BAD_KEY;
    if (key->trace)
        traced_reset(key);
    fetch_add(&key->generation, 1);
    POINT("reset: generation raised");
    handles_clear(key);
    key_release(key);
    return KS_OK;
}

/* Marks the key, then clears the handles, in this order (C3.3). */
ks_status ks_key_terminate(ks_key_t handle)
{
    struct key *key = key_reference(handle);
    if (!key)
        return KS_BAD_KEY;
    store_ordered(&key->terminated, 1u);
    POINT("terminate: marked");
    handles_clear(key);
    key_release(key);
    return KS_OK;
}

/* Each heap that is not reclaimed has a reference (C2.3). */
static bool heaps_remain(struct key *key)
{
    /* One reference is this call's. */
    return load_acquire(&key->refs) > 1;
}

/* Of two destroys the exchange lets one pass (C2.4). */
static ks_status key_end(struct thread *thread, struct key *key, ks_key_t handle)
{
    ks_key_t live = handle;
    if (key->trace)
        traced_reset(key);
    if (!cas(&key->control, &live, (ks_key_t)0))
        return KS_BAD_KEY;
    POINT("destroy: handle withdrawn");
    key_release(key); /* the reference that the live key had */
    handles_clear(key);
    heap_leave(thread, handle);
    for (int round = 0; round < DESTROY_ROUNDS && heaps_remain(key); round++)
        heaps_reclaim(thread, key, handle, WANTED_EMPTIED);
    return KS_OK;
}

/* The thread is registered first: nobody else would reclaim the heaps that have no owner. */
ks_status ks_key_destroy(ks_key_t handle)
{
    struct key *key = key_reference(handle);
    if (!key)
        return KS_BAD_KEY;
    thread_begin();
    struct thread *thread = thread_register();
    ks_status status = thread ? key_end(thread, key, handle) : KS_NO_MEMORY;
    thread_end_slow();
    struct arena_choice arena = key->arena;
    key_release(key);
    if (status == KS_OK)
        arena_purge(arena);
    return status;
}

/*
 * False where pending remote frees are left, because their refusals found no room to be reported: then there is
 * more to trim.
 */
static bool key_trim(struct thread *thread, struct key *key, ks_key_t handle)
{
    thread->reports_full = false;
    struct heap *own = heap_of_thread(thread, handle);
    if (own)
        heap_trim(own, key->retain_least, TRIM_ALL);
    heaps_reclaim(thread, key, handle, WANTED_TRIMMED);
    /* The others have sent what they held for this thread by now. */
    if (own)
        heap_trim(own, key->retain_least, TRIM_ALL);
    return !thread->reports_full;
}

ks_status ks_key_purge(ks_key_t handle)
{
    struct key *key = key_reference(handle);
    if (!key)
        return KS_BAD_KEY;
    struct thread *thread;
    bool trimmed;
    do {
        thread_begin();
        thread = thread_register();
        trimmed = !thread || key_trim(thread, key, handle);
        thread_end_slow();
    } while (!trimmed);
    if (thread) {
        arena_purge(key->arena);
        message_purge();
    }
    key_release(key);
    return thread ? KS_OK : KS_NO_MEMORY;
}
