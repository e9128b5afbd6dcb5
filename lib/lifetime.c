/* The life of a key: ks_key_create, ks_key_reset, ks_key_terminate, ks_key_destroy, ks_key_purge. */
#include "arena.h"
#include "key.h"
#include "magazine.h"
#include "options.h"
#include "refill.h"
#include "start.h"
#include "tables.h"
#include "traced.h"
#include "tracing.h"

#include <string.h>

#define DESTROY_VISITS 3

static const struct classes *classes_of(const struct settings *settings)
{
    return tables_share(&(struct class_choice){
        .sizes = settings->sizes,
        .count = settings->sizes_count,
        .lengths = &settings->lengths,
        .magazine_bytes = (uint32_t)settings->values[SET_MAGAZINE_BYTES],
    });
}

/* Whole slabs, of the key's size. */
static void key_set_retain(struct key *key, uint64_t bytes)
{
    bool is_auto = bytes == RETAIN_AUTO;
    key->retain_least = is_auto ? 0 : bytes / key->slab_bytes;
    key->retain_most = is_auto ? RETAIN_AUTO : bytes / key->slab_bytes;
}

/* The key's own copy of what it has been given. False without memory, or where all arenas that a key may own are in use. */
static bool key_furnish(struct key *key, ks_key_t handle, const struct settings *settings)
{
    /* First: what the slot's last key had must not be left a second time, whatever fails. */
    if (!arena_choose(settings, KEY_INDEX(handle), &key->arena))
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
    key->paranoid = settings->values[SET_CHECK] == CHECK_PARANOID;
    key->seed = key->paranoid ? platform_random() : 0;
    key->trace = tracing_key(settings);
    return true;
}

/* C2.1. */
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
 * before: a thread that puts the handle back looks at the key again afterwards. C3.3.
 */
static void handles_clear(struct key *key)
{
    for (struct heap *heap = load_ordered(&key->heaps); heap; heap = heap->key_next)
        store_ordered(&load_ordered(&heap->entry)->handle, (ks_key_t)0);
    POINT("key: handles cleared");
}

/* C3.3. */
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

/* C3.3. */
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

/* C2.3. */
static bool heaps_remain(struct key *key)
{
    /* One reference is this call's. */
    return load_acquire(&key->refs) > 1;
}

/* C2.4. */
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
    heap_give_up(thread, handle);
    for (int visit = 0; visit < DESTROY_VISITS && heaps_remain(key); visit++)
        heaps_visit(thread, key, handle, WANTED_EMPTIED);
    return KS_OK;
}

/* The thread is registered first: nobody else would reclaim the heaps that no thread holds. */
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

/* False where refusals of blocks that came home found no room to be reported: then there is more to settle. */
static bool key_settle(struct thread *thread, struct key *key, ks_key_t handle)
{
    thread->crowded = false;
    struct heap *own = heap_of_thread(thread, handle);
    if (own)
        heap_settle(own, key->retain_least);
    heaps_visit(thread, key, handle, WANTED_SETTLED);
    /* What the others held for this thread has come home by now. */
    if (own)
        heap_settle(own, key->retain_least);
    return !thread->crowded;
}

ks_status ks_key_purge(ks_key_t handle)
{
    struct key *key = key_reference(handle);
    if (!key)
        return KS_BAD_KEY;
    struct thread *thread;
    bool settled;
    do {
        thread_begin();
        thread = thread_register();
        settled = !thread || key_settle(thread, key, handle);
        thread_end_slow();
    } while (!settled);
    if (thread) {
        arena_purge(key->arena);
        magazine_purge();
    }
    key_release(key);
    return thread ? KS_OK : KS_NO_MEMORY;
}
