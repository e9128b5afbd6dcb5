/*
 * How the library comes into a process, and that it stays there. docs/jemalloc.md.
 */
#include "memory/extents.h"
#include "memory/jemalloc.h"

#include <dlfcn.h>
#include <link.h>

const struct backend *backend_choose(void)
{
    return jemalloc_is_loaded() ? &backend_jemalloc : &backend_extents;
}

/* Not there in programs that are linked statically as a whole; they load nothing. */
#pragma weak dladdr1
#pragma weak dlsym

/* Looked up, because the linker warns of a reference to dlopen in such programs. */
static void object_hold(const char *name)
{
    void *(*open)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_DEFAULT, "dlopen");
    if (open)
        open(name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/*
 * The object that the library is in, libkeyslab.so or a plugin with a static copy, is never unloaded: threads that have used the library
 * run its hook when they end, also when that is after dlclose, and its range of addresses must not be chosen anew with each
 * dlopen. The object is held when it is loaded, not when it is first used: dlopen's lock, which this thread has now, would then be waited
 * for. The program itself has no name.
 */
__attribute__((constructor)) static void stay_loaded(void)
{
    Dl_info info;
    struct link_map *object;
    if (!dladdr1 || !dlsym || !dladdr1((void *)stay_loaded, &info, (void **)&object, RTLD_DL_LINKMAP))
        return;
    if (*object->l_name)
        object_hold(object->l_name);
}
