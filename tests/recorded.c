/*
 * A program for `keyslab record`, of processes that begin and end in every way: `recorded WAY`, with the ways in the table at the end. Each process
 * that a trace is expected of allocates and frees PAIRS blocks, at the least.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAIRS = 1000, MANY_PAIRS = 50000, CHILDREN = 3, STORM_CHILDREN = 20, STORM_THREADS = 3, INHERITED = 64 };

static const char self[] = "/proc/self/exe";
static void *inherited[INHERITED];

static void pairs(int count)
{
    for (int i = 0; i < count; i++) {
        char *volatile block = malloc((size_t)(16 + i % 500));
        block[0] = 1;
        free(block);
    }
}

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(99);
}

static pid_t child(void (*work)(void))
{
    pid_t process = fork();
    if (process < 0)
        die("fork");
    if (process)
        return process;
    work();
    exit(0);
}

static void await(pid_t process, int expected)
{
    int status;
    if (waitpid(process, &status, 0) != process || status != expected) {
        fprintf(stderr, "process %d: status %x, expected %x\n", (int)process, (unsigned)status, (unsigned)expected);
        exit(98);
    }
}

static void work(void)
{
    pairs(PAIRS);
}

/* ------------------------------------------------------------------ children */

static void one(void)
{
    await(child(work), 0);
}

static void nothing(void)
{
}

/* What the child frees is in none of its own trace, and so it needs none. */
static void only_free(void)
{
    for (int i = 0; i < INHERITED; i++)
        free(inherited[i]);
}

static void silent(void)
{
    await(child(nothing), 0);
    await(child(only_free), 0);
}

static void use_inherited(void)
{
    for (int i = 0; i < INHERITED; i++) {
        switch (i % 4) {
        case 0:
            free(inherited[i]);
            break;
        case 1: /* in place */
            inherited[i] = realloc(inherited[i], 999);
            break;
        case 2:
            inherited[i] = realloc(inherited[i], 100000);
            break;
        default:
            break;
        }
    }
    for (int i = 0; i < INHERITED; i++)
        if (i % 4)
            free(inherited[i]);
    pairs(PAIRS);
}

static void inherit(void)
{
    await(child(use_inherited), 0);
}

static void work_and_have_a_child(void)
{
    work();
    one();
}

static void *allocate_beside(void *stop)
{
    do
        pairs(PAIRS);
    while (!atomic_load((_Atomic int *)stop));
    return NULL;
}

static void beside_threads(int count, void (*what)(void))
{
    static _Atomic int stop;
    pthread_t threads[STORM_THREADS];
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, allocate_beside, &stop))
            die("pthread_create");
    what();
    atomic_store(&stop, 1);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void have_children(void)
{
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        children[i] = child(work_and_have_a_child);
    for (int i = 0; i < CHILDREN; i++)
        await(children[i], 0);
}

static void tree(void)
{
    beside_threads(1, have_children);
}

/* A child with threads of its own. */
static void work_with_threads(void)
{
    beside_threads(2, work);
}

static void have_many_children(void)
{
    for (int i = 0; i < STORM_CHILDREN; i++)
        await(child(i % 2 ? work : work_with_threads), 0);
}

static void storm(void)
{
    beside_threads(STORM_THREADS, have_many_children);
}

/* ------------------------------------------------------------------ other programs */

static char name[] = "recorded";
static char only_pairs[] = "pairs";
static char *const pairs_arguments[] = {name, only_pairs, NULL};

static void replace(void)
{
    work();
    execv(self, pairs_arguments);
    die(self);
}

/* Of which nothing is recorded: it is not even a program. */
static void replace_in_vain(void)
{
    work();
    execv("/dev/null", pairs_arguments);
    work();
}

static void exec_in_child(void)
{
    await(child(replace), 0);
    await(child(replace_in_vain), 0);
}

static void spawn(void)
{
    pid_t process;
    if (posix_spawn(&process, self, NULL, NULL, pairs_arguments, environ))
        die("posix_spawn");
    await(process, 0);
    process = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
    if (!process) {
        execv(self, pairs_arguments);
        _exit(97);
    }
    await(process, 0);
    process = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
    if (!process)
        _exit(5);
    await(process, 5 << 8);
    work();
}

/* ------------------------------------------------------------------ ends */

static void end_at_once(void)
{
    work();
    _exit(3);
}

static void end_quickly(void)
{
    work();
    quick_exit(4);
}

static void end_by(int number)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    work();
    raise(number);
}

static void end_by_fault(void)
{
    end_by(SIGSEGV);
}

static void end_by_abort(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    work();
    abort();
}

static void end_by_kill(void)
{
    end_by(SIGKILL);
}

static void ends(void)
{
    await(child(end_at_once), 3 << 8);
    await(child(end_quickly), 4 << 8);
    await(child(end_by_fault), SIGSEGV);
    await(child(end_by_abort), SIGABRT);
    await(child(end_by_kill), SIGKILL);
}

static void handle(int number)
{
    (void)number;
    _exit(6);
}

/* A handler that ends the process wherever it is. */
static void end_in_handler(void)
{
    signal(SIGALRM, handle);
    ualarm(20000, 0);
    for (;;)
        pairs(PAIRS);
}

static void handlers(void)
{
    await(child(end_in_handler), 6 << 8);
}

/* ------------------------------------------------------------------ processes that outlive the program */

/* Until the program has ended, and its standard input with it; who reads the program's output need not wait. */
static void await_the_test(void)
{
    char byte;
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

static void outlive(void)
{
    work();
    await_the_test();
    pairs(MANY_PAIRS);
}

static void outlived(void)
{
    pid_t process = child(outlive);
    printf("%d\n", (int)process);
}

/* As they are made: the middle process ends, and the daemon has none of its parents' descriptors, but for its input. */
static void become_daemon(void)
{
    setsid();
    if (fork())
        _exit(0);
    work();
    for (int descriptor = 1; descriptor < 2000; descriptor++)
        close(descriptor);
    if (chdir("/"))
        exit(1);
    open("/dev/null", O_RDWR);
    outlive();
}

static void daemonise(void)
{
    await(child(become_daemon), 0);
}

/* ------------------------------------------------------------------ the program */

static const struct {
    const char *name;
    void (*way)(void);
} ways[] = {
    {"pairs", nothing},    {"one", one},           {"silent", silent},     {"inherit", inherit},
    {"tree", tree},        {"storm", storm},       {"replace", replace},   {"exec", exec_in_child},
    {"spawn", spawn},      {"ends", ends},         {"handler", handlers},  {"outlived", outlived},
    {"daemon", daemonise}, {"_exit", end_at_once}, {"segv", end_by_fault}, {"abort", end_by_abort},
    {"kill", end_by_kill},
};

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int i = 0; i < INHERITED; i++)
        inherited[i] = malloc(1000);
    work();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (argc == 2 && !strcmp(argv[1], ways[i].name)) {
            ways[i].way();
            return 0;
        }
    fprintf(stderr, "usage: recorded WAY\n");
    return 2;
}
