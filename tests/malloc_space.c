/*
 * malloc_space MIB FIRST: a life within MIB of address space, a limit that the program sets itself, behind a first malloc of FIRST bytes (0
 * for none). It knows nothing of keyslab, and prints "lived" wherever malloc is any good.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { PIECES = 64 };

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                     \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static size_t most;

static void limit(size_t bytes)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = bytes;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void *get(size_t bytes)
{
    char *block = malloc(bytes);
    CHECK(block);
    block[0] = block[bytes - 1] = 1;
    return block;
}

static void refuse(size_t bytes)
{
    errno = 0;
    CHECK(!malloc(bytes) && errno == ENOMEM);
}

static void small_blocks(void)
{
    void *blocks[1000];
    for (size_t i = 0; i < 1000; i++)
        blocks[i] = get(1 + i * 7);
    for (size_t i = 0; i < 1000; i++)
        free(blocks[i]);
}

/* Until there is no more, and then all of it goes. How many there were. */
static size_t fill(void)
{
    void *blocks[PIECES];
    size_t count = 0;
    errno = 0;
    while (count < PIECES && (blocks[count] = malloc(most / PIECES)))
        memset(blocks[count++], 1, 100);
    CHECK(errno == ENOMEM);
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    return count;
}

/* What was freed can be had again: as often as before, as one block, and by others than malloc. */
static void refill(void)
{
    size_t count = fill();
    CHECK(count >= PIECES / 2);
    CHECK(fill() + 1 >= count);
    free(get(most / 2));
    void *mapped = mmap(NULL, most / 2, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mapped != MAP_FAILED && munmap(mapped, most / 2) == 0);
}

/* Blocks of growing sizes, of which short ones remain in between. */
static void outgrow(void)
{
    void *kept[PIECES];
    size_t count = 0;
    for (size_t bytes = 1 << 20; bytes <= most / 2; bytes += bytes / 2) {
        char *block = get(bytes);
        kept[count++] = get(300000);
        free(block);
    }
    while (count)
        free(kept[--count]);
}

static void refused_is_not_used(void)
{
    for (int i = 0; i < 200; i++)
        refuse(most);
    refuse((size_t)1 << 46);
    free(get(most / 2));
}

static void lower_and_raise(void)
{
    malloc_trim(0);
    limit(1 << 20);
    refuse(most / 4);
    limit(most);
    free(get(most / 4));
}

static void *in_a_thread(void *argument)
{
    small_blocks();
    free(get(most / 8));
    return argument;
}

static void thread(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 1 << 20) == 0);
    CHECK(pthread_create(&thread, &attributes, in_a_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    most = (size_t)atol(argv[1]) << 20;
    void *first = atol(argv[2]) ? get((size_t)atol(argv[2])) : NULL;
    limit(most);
    small_blocks();
    thread();
    refill();
    thread();
    outgrow();
    refused_is_not_used();
    lower_and_raise();
    small_blocks();
    free(first);
    puts("lived");
    return 0;
}
