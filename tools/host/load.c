/* Experts that are loaded: shared objects with the entry points Register, Configure and Run. */
#include "host.h"

#include "command.h"
#include "process.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
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

static bool expert_enter(struct expert *expert)
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
    *(void **)&expert->exception_type = dlsym(expert->library, "__cxa_current_exception_type");
    expert->module = walk_span((void *)(uintptr_t)info->pRunProc);
    return true;
}

struct registration {
    struct expert *expert;
    EXPERTENUMINFO info; /* a copy, which may still be written to when nobody waits for it any more */
    bool accepted;
};

static void call_register(void *argument)
{
    struct registration *registration = argument;
    registration->accepted = registration->info.pRegisterProc(&registration->info);
}

/* Its name, where it gives one. */
static void expert_accept(struct expert *expert, const EXPERTENUMINFO *info)
{
    char file[MAX_PATH];
    snprintf(file, sizeof file, "%s", expert->name);
    expert->info = *info;
    expert->info.szName[sizeof info->szName - 1] = '\0';
    expert->info.szVendor[sizeof info->szVendor - 1] = '\0';
    expert->info.szDescription[sizeof info->szDescription - 1] = '\0';
    memcpy(expert->info.szDllName, file, sizeof file);
    if (*expert->info.szName)
        expert->name = expert->info.szName;
}

static void expert_register(struct expert *expert)
{
    struct registration *registration = malloc(sizeof *registration);
    if (!registration)
        host_fatal("registering an expert", KS_NO_MEMORY);
    *registration = (struct registration){.expert = expert, .info = expert->info};
    if (guest_call_aside(expert, call_register, registration, expert->host->timeout)) {
        if (!registration->accepted)
            expert_fail(expert, NULL, FAILURE_REFUSED, 0, "Register returned FALSE");
        expert_accept(expert, &registration->info);
    }
    if (atomic_load(&expert->failed))
        expert_stop_all(expert);
    if (!expert->is_stuck)
        free(registration);
}

bool expert_load(struct expert *expert)
{
    expert->library = library_open(expert->path);
    if (!expert->library || !expert_enter(expert))
        return false;
    contain_begin();
    expert_register(expert);
    return true;
}

bool host_load(struct host *host, const char *name)
{
    struct expert *expert = &host->experts[host->experts_count++];
    *expert = (struct expert){.host = host, .path = name, .name = base_name(name), .mutex = PTHREAD_MUTEX_INITIALIZER};
    return host->isolate ? process_load(expert) : expert_load(expert);
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
