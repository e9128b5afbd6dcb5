#include "malloc/process_key.h"

#include "malloc/misuse.h"

#include <pthread.h>

ks_key_t process_key_handle;

/* Publishes the handle, once (C2.6). */
static void create(void)
{
    ks_key_t key;
    struct ks_key_options options = {.name = "malloc", .on_error = misuse_found};
    if (ks_key_create(&options, &key) == KS_OK)
        store_release(&process_key_handle, key);
}

/*
 * Nothing in here allocates: pthread_setspecific takes no memory for the first 32 keys of a process, nor pthread_atfork
 * for the first 48 handlers, and the library is started before anybody else can have had that many.
 */
bool process_key_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, create);
    return process_key() != 0;
}

/* At the latest when the program is loaded, so that the above holds. The C library can be asked for the environment now. */
__attribute__((constructor)) static void load(void)
{
    process_key_start();
    misuse_configure();
}
