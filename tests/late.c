/*
 * late ROUNDS [OBJECT...]: opens each object, calls its plugin_use in this thread and in one that ends after it has been closed, and
 * closes it, again and again, now and then in the child of a fork, too. Without objects, calls the plugin_use that is linked with it. Ends with
 * a line "backend B grown G": what every call has returned, and KiB that are resident in excess of those after a fifth of the rounds.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORK_EVERY = 50 };

__attribute__((weak)) int plugin_use(void);

static int backend;
static pthread_barrier_t used;
static pthread_barrier_t closed;

static void fail(const char *what)
{
    printf("%s\n", what);
    exit(1);
}

static void expect(int returned)
{
    if (!returned || (backend && returned != backend))
        fail("the plugin failed, or has another backend than before");
    backend = returned;
}

static long resident_kib(void)
{
    long size = 0;
    long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &resident) != 2)
        fail("/proc/self/statm");
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void in_child(int (*use)(void))
{
    int status = 1;
    pid_t child = fork();
    if (child == 0)
        _exit(use() != backend);
    if (child < 0 || waitpid(child, &status, 0) < 0 || status)
        fail("the child of a fork failed");
}

static void *outlive(void *use)
{
    int returned = ((int (*)(void))use)();
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return (void *)(long)returned;
}

static void open_and_close(const char *path, bool forks)
{
    pthread_t thread;
    void *returned;
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object)
        fail(dlerror());
    int (*use)(void) = (int (*)(void))dlsym(object, "plugin_use");
    if (!use)
        fail(dlerror());
    expect(use());
    if (pthread_create(&thread, NULL, outlive, (void *)use))
        fail("pthread_create");
    pthread_barrier_wait(&used);
    if (forks)
        in_child(use);
    if (dlclose(object))
        fail(dlerror());
    pthread_barrier_wait(&closed);
    pthread_join(thread, &returned);
    expect((int)(long)returned);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 0;
    long early = 0;
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&closed, NULL, 2);
    for (int round = 0; round < rounds; round++) {
        for (int i = 2; i < argc; i++)
            open_and_close(argv[i], round % FORK_EVERY == 0);
        if (plugin_use)
            expect(plugin_use());
        if (round == rounds / 5)
            early = resident_kib();
    }
    printf("backend %d grown %ld\n", backend, resident_kib() - early);
    return 0;
}
