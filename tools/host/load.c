/* Experts that are loaded: shared objects with the entry points Register, Configure and Run. */
#include "host.h"

#include "command.h"

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

static void expert_accept(struct expert *expert, const EXPERTENUMINFO *info)
{
    expert->info = *info;
    expert->info.szName[sizeof info->szName - 1] = '\0';
    expert->info.szVendor[sizeof info->szVendor - 1] = '\0';
    expert->info.szDescription[sizeof info->szDescription - 1] = '\0';
    snprintf(expert->info.szDllName, sizeof info->szDllName, "%s", expert->name);
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

struct expert *host_expert(const struct host *host, const char *name)
{
    for (size_t i = 0; i < host->experts_count; i++)
        if (!strcmp(host->experts[i].name, name))
            return &host->experts[i];
    return NULL;
}

/* Keys are found by name, in config files and in the report: no two experts have the same one. */
static void expert_name(struct host *host, struct expert *expert, const char *name)
{
    char suffix[16];
    snprintf(expert->name, sizeof expert->name, "%.*s", (int)sizeof expert->name - 1, name);
    for (struct expert *first = host_expert(host, expert->name); first && host_expert(host, expert->name);) {
        int length = snprintf(suffix, sizeof suffix, "#%u", ++first->copies + 1);
        snprintf(expert->name, sizeof expert->name, "%.*s%s", (int)sizeof expert->name - 1 - length, name, suffix);
    }
}

/* Cuts a number of threads off the name's end; 0 where there is none, -1 after a complaint. */
static int cut_threads(char *name)
{
    char *colon = strrchr(name, ':');
    uint64_t threads;
    if (!colon || strchr(colon, '/'))
        return 0;
    if (!parse_number("--expert NAME:THREADS", colon + 1, 1, LANES_MOST, &threads))
        return -1;
    *colon = '\0';
    return (int)threads;
}

static bool expert_load(struct host *host, struct expert *expert, char *name)
{
    int threads = cut_threads(name);
    if (threads < 0)
        return false;
    *expert = (struct expert){.host = host, .lanes_count = (unsigned)threads, .mutex = PTHREAD_MUTEX_INITIALIZER};
    snprintf(expert->name, sizeof expert->name, "%s", base_name(name));
    expert->library = library_open(name);
    if (!expert->library || !expert_enter(expert))
        return false;
    contain_begin();
    expert_register(expert);
    expert_name(host, expert, *expert->info.szName ? expert->info.szName : base_name(name));
    return true;
}

void host_reserve(struct host *host, size_t experts)
{
    host->experts = calloc(experts, sizeof *host->experts);
    if (!host->experts)
        host_fatal("loading experts", KS_NO_MEMORY);
}

bool host_load(struct host *host, const char *text)
{
    char *name = strdup(text);
    if (!name)
        host_fatal("loading experts", KS_NO_MEMORY);
    bool loaded = expert_load(host, &host->experts[host->experts_count], name);
    host->experts_count += loaded;
    free(name);
    return loaded;
}

bool host_fail(struct host *host, const char *name, uint64_t frame)
{
    struct expert *expert = host_expert(host, name);
    if (expert)
        expert->fail_at = frame;
    return expert;
}
