/* Experts that are loaded: shared objects with the entry points Register, Configure and Run. */
#include "host.h"

#include "command.h"
#include "process.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* A name without a slash is that of an expert that comes with keyslab. NULL after a complaint. */
static void *library_open(const char *name)
{
    char path[PATH_MAX];
    char file[NAME_MAX];
    char searched[FILE_SEARCHED];
    snprintf(file, sizeof file, "%s.so", name);
    if (!strchr(name, '/') && !find_file("experts", EXPERTS_FOLDER, file, path, searched)) {
        complain("--expert %s: no such expert: %s", name, searched);
        return NULL;
    }
    void *library = dlopen(strchr(name, '/') ? name : path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        complain("--expert %s: %s", name, dlerror());
    return library;
}

static bool library_enter(struct expert *expert)
{
    EXPERTENUMINFO *info = &expert->info;
    /* POSIX makes the pointer that dlsym returns convertible to a function's. */
    *(void **)&info->pRegisterProc = dlsym(expert->library, EXPERTENTRY_REGISTER);
    *(void **)&info->pConfigProc = dlsym(expert->library, EXPERTENTRY_CONFIGURE);
    *(void **)&info->pRunProc = dlsym(expert->library, EXPERTENTRY_RUN);
    if (!info->pRegisterProc || !info->pRunProc) {
        complain("expert %s: no entry point %s", expert->name,
                 info->pRegisterProc ? EXPERTENTRY_RUN : EXPERTENTRY_REGISTER);
        return false;
    }
    if (!info->pRegisterProc(info)) {
        complain("expert %s: Register refused", expert->name);
        return false;
    }
    snprintf(info->szDllName, sizeof info->szDllName, "%s", expert->name);
    return true;
}

bool expert_load(struct expert *expert)
{
    expert->library = library_open(expert->path);
    if (!expert->library || !library_enter(expert))
        return false;
    if (*expert->info.szName)
        expert->name = expert->info.szName;
    return true;
}

bool host_add(struct host *host, const char *path)
{
    if (host->experts_count == EXPERTS_MOST) {
        complain("--expert %s: no more than %d experts", path, EXPERTS_MOST);
        return false;
    }
    host->experts[host->experts_count++] = (struct expert){
        .host = host,
        .path = path,
        .name = base_name(path),
        .mutex = PTHREAD_MUTEX_INITIALIZER,
    };
    return true;
}

bool host_load(struct host *host)
{
    if (host->isolate)
        return processes_load(host);
    for (size_t i = 0; i < host->experts_count; i++)
        if (!expert_load(&host->experts[i]))
            return false;
    return true;
}

bool host_fail(struct host *host, const char *name, uint64_t frame)
{
    for (size_t i = 0; i < host->experts_count; i++)
        if (!strcmp(host->experts[i].name, name)) {
            host->experts[i].fail_at = frame;
            return true;
        }
    return false;
}
