/*
 * The object that the library is in stays loaded: libkeyslab.so, or a plugin with a static copy. Threads that have used the library run
 * its hook when they end, also when that is after dlclose; and its range of addresses is never unmapped, so that it must not be
 * reserved anew with each dlopen. docs/jemalloc.md.
 */
#include <dlfcn.h>
#include <link.h>

/* Not there in programs that are linked statically as a whole; they load nothing. */
#pragma weak dladdr1
#pragma weak dlopen

/*
 * When the object is loaded, not when it is first used: dlopen's lock, which this thread has now, would then be waited for. The program itself
 * has no name.
 */
__attribute__((constructor)) static void stay_loaded(void)
{
    Dl_info info;
    struct link_map *object;
    if (!dladdr1 || !dlopen || !dladdr1((void *)stay_loaded, &info, (void **)&object, RTLD_DL_LINKMAP))
        return;
    if (*object->l_name)
        dlopen(object->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}
