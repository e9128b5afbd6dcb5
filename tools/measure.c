/*
 * measure [-p LIBRARY] -o FILE COMMAND [ARGUMENT]...: runs a command and appends what it took to FILE, as a line of JSON.
 *
 * A process starts its life with the peak of the one that it was forked from: that is why this is a program of its own,
 * smaller than any that it measures, and why LIBRARY is preloaded by the command alone. SIGTERM and SIGINT go on to the
 * command. The exit status is the command's.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t child;

static void pass_on(int signal)
{
    if (child > 0)
        kill(child, signal);
}

static int usage(void)
{
    fputs("usage: measure [-p LIBRARY] -o FILE COMMAND [ARGUMENT]...\n", stderr);
    return 2;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int wait_for_child(struct rusage *used)
{
    int status;
    while (wait4(child, &status, 0, used) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int append(const char *path, double wall, const struct rusage *used)
{
    FILE *file = fopen(path, "a");
    if (!file) {
        fprintf(stderr, "measure: %s: %s\n", path, strerror(errno));
        return 1;
    }
    fprintf(file, "{\"wall\": %.6f, \"user\": %.6f, \"system\": %.6f, \"peak\": %ld, \"faults\": %ld}\n", wall,
            seconds(used->ru_utime), seconds(used->ru_stime), used->ru_maxrss * 1024, used->ru_minflt);
    return fclose(file) != 0;
}

int main(int argc, char **argv)
{
    const char *library = NULL;
    const char *path = NULL;
    for (int option; (option = getopt(argc, argv, "+p:o:")) != -1;) {
        if (option == 'p')
            library = optarg;
        else if (option == 'o')
            path = optarg;
        else
            return usage();
    }
    if (!path || optind == argc)
        return usage();
    if (library)
        setenv("LD_PRELOAD", library, 1);

    struct sigaction action = {.sa_handler = pass_on};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    double start = now();
    int failed = posix_spawnp(&child, argv[optind], NULL, NULL, argv + optind, environ);
    if (failed) {
        fprintf(stderr, "measure: %s: %s\n", argv[optind], strerror(failed));
        return 127;
    }
    struct rusage used;
    int status = wait_for_child(&used);
    if (status < 0 || append(path, now() - start, &used))
        return 1;
    return status;
}
