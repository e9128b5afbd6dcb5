#include "child.h"

#include "command.h"
#include "interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENTS = 16, MILLISECONDS = 1000 };

double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double number_of(const json_t *json, const char *name)
{
    return json_number_value(json_object_get(json, name));
}

static _Noreturn void become_replay(const struct child *child, int output, pid_t parent)
{
    char threads[24];
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
        _exit(EXIT_FAILED);
    bool keyslab = !strcmp(child->allocator, "keyslab");
    if (!keyslab && strcmp(child->allocator, "malloc") != 0)
        setenv("LD_PRELOAD", child->allocator, 1);
    snprintf(threads, sizeof threads, "%" PRIu64, child->threads);
    /* One of many rounds: this process has told what there is to say of the config. */
    const char *arguments[ARGUMENTS] = {program_invocation_name, "replay", "--quiet", "--json", "--peer"};
    size_t count = 5;
    arguments[count++] = keyslab ? "keyslab" : "malloc";
    if (child->config) {
        arguments[count++] = "--config";
        arguments[count++] = child->config;
    }
    if (child->threads) {
        arguments[count++] = "--threads";
        arguments[count++] = threads;
    }
    if (child->salvage)
        arguments[count++] = "--salvage";
    if (child->weigh)
        arguments[count++] = "--weigh";
    arguments[count++] = "--";
    arguments[count] = child->trace;
    dup2(output, STDOUT_FILENO);
    execv("/proc/self/exe", (char **)arguments);
    _exit(EXIT_FAILED);
}

/* The child has something to say, or has ended. False where it is not waited for any longer. */
static bool await_output(int descriptor, double deadline)
{
    struct pollfd wait = {.fd = descriptor, .events = POLLIN};
    int ready;
    do {
        double left = deadline > 0 ? deadline - clock_seconds() : -1;
        if (interrupted() || (deadline > 0 && left <= 0))
            return false;
        ready = poll(&wait, 1, deadline > 0 ? (int)(left * MILLISECONDS) + 1 : -1);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

static json_t *read_output(int descriptor)
{
    FILE *file = fdopen(descriptor, "r");
    json_error_t error;
    json_t *json = file ? json_loadf(file, 0, &error) : NULL;
    if (file)
        fclose(file);
    else
        close(descriptor);
    return json;
}

json_t *child_run(const struct child *child, bool *late)
{
    int ends[2];
    int status = 0;
    *late = false;
    if (pipe(ends)) {
        complain("a pipe: %s", strerror(errno));
        return NULL;
    }
    fflush(stdout);
    pid_t parent = getpid();
    pid_t process = fork();
    if (!process) {
        close(ends[0]);
        become_replay(child, ends[1], parent);
    }
    close(ends[1]);
    /* It prints once, at its end. */
    *late = process > 0 && !await_output(ends[0], child->deadline);
    if (*late)
        kill(process, SIGKILL);
    json_t *json = read_output(ends[0]);
    /* From a terminal the signal has come to both. */
    *late = *late || interrupted();
    while (process > 0 && waitpid(process, &status, 0) < 0 && errno == EINTR)
        ;
    if (json && !status && !*late)
        return json;
    if (!*late)
        complain("%s: its replay failed", child->config ? child->config : child->allocator);
    json_decref(json);
    return NULL;
}
