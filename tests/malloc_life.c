/*
 * Allocates before every constructor, in one, in main, in atexit, in a destructor, and in a thread that outlives main; and
 * frees each block at a later moment than it was taken. Run under LD_PRELOAD: says on standard output what has come to pass.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *before_constructors;
static char *in_constructor;
static char *in_main;
static char *in_atexit;

static void check(const char *block, const char *text)
{
    if (strcmp(block, text) || malloc_usable_size((void *)block) < strlen(text) + 1)
        _exit(1);
}

/* The compiler takes malloc to leave errno alone. */
static void *(*volatile do_malloc)(size_t) = malloc;

static char *take(const char *text)
{
    char *block = do_malloc(strlen(text) + 1);
    return block ? strcpy(block, text) : NULL;
}

static void preinit(void)
{
    errno = 0;
    before_constructors = take("before constructors");
    if (!before_constructors)
        _exit(errno == ENOMEM ? 4 : 5);
    if (errno)
        _exit(3);
    free(realloc(calloc(3, 1000), 70000));
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = preinit;

__attribute__((constructor(101))) static void construct(void)
{
    check(before_constructors, "before constructors");
    in_constructor = take("in a constructor");
}

static void leave(void)
{
    check(in_main, "in main");
    in_atexit = take("in atexit");
    free(in_main);
}

__attribute__((destructor(101))) static void destruct(void)
{
    check(in_atexit, "in atexit");
    check(in_constructor, "in a constructor");
    free(in_atexit);
    free(in_constructor);
    free(before_constructors);
    free(take("in a destructor"));
    static const char text[] = "lived\n";
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
}

static void *outlive(void *argument)
{
    for (size_t size = 0;; size = (size + 77) % 5000) {
        char *block = malloc(size);
        if (!block)
            _exit(2);
        memset(block, 1, size);
        free(block);
    }
    return argument;
}

int main(void)
{
    pthread_t thread;
    in_main = take("in main");
    atexit(leave);
    if (pthread_create(&thread, NULL, outlive, NULL))
        return 1;
    usleep(20000);
    return 0;
}
