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

static void expert_accept(struct expert *expert, const EXPERTENUMINFO *info)
{
    expert->info = *info;
    expert->info.szName[sizeof info->szName - 1] = '\0';
    expert->info.szVendor[sizeof info->szVendor - 1] = '\0';
    expert->info.szDescription[sizeof info->szDescription - 1] = '\0';
    expert->is_configurable = info->pConfigProc && info->Flags & EXPERT_ENUM_FLAG_CONFIGURABLE;
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

bool expert_load(struct expert *expert)
{
    expert->library = library_open(expert->path);
    if (!expert->library || !expert_enter(expert))
        return false;
    contain_begin();
    expert_register(expert);
    return true;
}

/* ------------------------------------------------------------------ names */

static struct expert *expert_named(const struct host *host, const char *name, const struct expert *except)
{
    for (size_t i = 0; i < host->experts_count; i++)
        if (&host->experts[i] != except && !strcmp(host->experts[i].name, name))
            return &host->experts[i];
    return NULL;
}

struct expert *host_expert(const struct host *host, const char *name)
{
    return expert_named(host, name, NULL);
}

void expert_name(struct expert *expert)
{
    struct host *host = expert->host;
    char suffix[16];
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%.*s", NAME_BYTES - 1,
             *expert->info.szName ? expert->info.szName : base_name(expert->path));
    snprintf(expert->name, sizeof expert->name, "%s", name);
    struct expert *first = expert_named(host, name, expert);
    while (first && expert_named(host, expert->name, expert)) {
        int length = snprintf(suffix, sizeof suffix, "#%u", ++first->copies + 1);
        snprintf(expert->name, sizeof expert->name, "%.*s%s", (int)sizeof expert->name - 1 - length, name, suffix);
    }
}

/* Cuts a number of threads off the path's end. False after a complaint. */
static bool cut_threads(struct expert *expert)
{
    char *colon = strrchr(expert->path, ':');
    uint64_t threads = expert->host->threads;
    if (colon && !strchr(colon, '/')) {
        if (!parse_number("--expert NAME:THREADS", colon + 1, 1, LANES_MOST, &threads))
            return false;
        *colon = '\0';
    }
    expert->lanes_count = (unsigned)threads;
    return true;
}

/* ------------------------------------------------------------------ */

void host_reserve(struct host *host, size_t experts)
{
    host->experts = calloc(experts, sizeof *host->experts);
    if (!host->experts)
        host_fatal("loading experts", KS_NO_MEMORY);
}

bool host_load(struct host *host, const char *text)
{
    struct expert *expert = &host->experts[host->experts_count++];
    *expert = (struct expert){.host = host, .path = strdup(text), .mutex = PTHREAD_MUTEX_INITIALIZER};
    if (!expert->path)
        host_fatal("loading experts", KS_NO_MEMORY);
    if (!cut_threads(expert))
        return false;
    snprintf(expert->name, sizeof expert->name, "%s", base_name(expert->path));
    if (host->isolate ? !process_load(expert) : !expert_load(expert))
        return false;
    expert_name(expert);
    return true;
}

bool host_fail(struct host *host, const char *name, uint64_t frame)
{
    struct expert *expert = host_expert(host, name);
    if (expert)
        expert->fail_at = frame;
    return expert;
}
