/*
 * malloc_misuse CASE: prints the address that it is about to misuse, and, where it is let live, "went on". Run under
 * LD_PRELOAD by test_malloc_misuse.py.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The compiler would see through these. */
static void (*volatile do_free)(void *) = free;
static void *(*volatile do_realloc)(void *, size_t) = realloc;

static char *volatile block;
static char *volatile other;

static void announce(const void *address)
{
    printf("%p\n", address);
    fflush(stdout);
}

static void double_free(void)
{
    announce(block);
    do_free(block);
    do_free(block);
}

static void double_free_of_large(void)
{
    block = do_realloc(block, 300000);
    double_free();
}

static void free_of_interior(void)
{
    announce(block + 16);
    do_free(block + 16);
}

static void free_of_stack(void)
{
    char here[64] = {0};
    announce(here);
    do_free(here);
}

static void free_of_mapping(void)
{
    char *pages = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    announce(pages + 4096);
    do_free(pages + 4096);
}

static void free_of_garbage(void)
{
    void *garbage = (void *)0xdeadbeefdeadbeef;
    announce(garbage);
    do_free(garbage);
}

static void realloc_of_freed(void)
{
    announce(block);
    do_free(block);
    errno = 0;
    if (do_realloc(block, 1000) || errno != EINVAL)
        _exit(1);
}

static void realloc_of_foreign(void)
{
    static char here[64];
    announce(here);
    errno = 0;
    if (do_realloc(here, 1000) || errno != EINVAL)
        _exit(1);
}

static void size_of_freed(void)
{
    announce(block);
    do_free(block);
    if (malloc_usable_size(block))
        _exit(1);
}

static void *free_in_thread(void *argument)
{
    do_free(argument);
    return NULL;
}

/* Both are let pass, on the way home; the second is refused when it arrives, at the latest when the owner asks for all. */
static void double_free_away(void)
{
    announce(block);
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, free_in_thread, block) || pthread_join(thread, NULL))
            _exit(1);
    }
    malloc_trim(0);
}

static void late_free_in_destructor(void)
{
    announce(block);
    do_free(block);
}

__attribute__((destructor)) static void destruct(void)
{
    if (other)
        do_free(other);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"double free", double_free},
    {"double free of large", double_free_of_large},
    {"free of interior", free_of_interior},
    {"free of stack", free_of_stack},
    {"free of mapping", free_of_mapping},
    {"free of garbage", free_of_garbage},
    {"realloc of freed", realloc_of_freed},
    {"realloc of foreign", realloc_of_foreign},
    {"size of freed", size_of_freed},
    {"double free away", double_free_away},
    {"free in destructor", late_free_in_destructor},
};

int main(int argc, char **argv)
{
    block = malloc(100);
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(argv[1], cases[i].name))
            continue;
        if (cases[i].run == late_free_in_destructor)
            other = block;
        cases[i].run();
        puts("went on");
        fflush(stdout);
        return 0;
    }
    return 2;
}
