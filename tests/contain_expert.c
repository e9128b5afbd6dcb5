/*
 * An expert for tests that fails, in the way that the environment names: CONTAIN_EXPERT is "write", "recurse", ...; CONTAIN_FRAME the
 * frame at which it does so, 100 without it.
 */
#include <keyslab/netmon.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info);
NETMON_API BOOL WINAPI Configure(HEXPERTKEY key, PEXPERTCONFIG *config, PEXPERTSTARTUPINFO startup, DWORD flags,
                                 HWND window);
NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

enum { FRAME_DEFAULT = 100, BLOCK = 48, DEEP = 4096 };

/* Volatile: compilers know what becomes of constants. */
static volatile uintptr_t low = 8;
static volatile int zero;
static unsigned registered;

static const char *mode(void)
{
    const char *text = getenv("CONTAIN_EXPERT");
    return text ? text : "";
}

static DWORD number(const char *name, DWORD otherwise)
{
    const char *text = getenv(name);
    return text ? (DWORD)strtoul(text, NULL, 10) : otherwise;
}

static void fail_write(HEXPERTKEY key)
{
    (void)key;
    *(volatile int *)low = 1;
}

static void fail_jump(HEXPERTKEY key)
{
    (void)key;
    ((void (*)(void))low)();
}

static void fail_strlen(HEXPERTKEY key)
{
    (void)key;
    zero += (int)strlen((const char *)low);
}

static __attribute__((noinline)) int recurse(volatile char *outer)
{
    volatile char room[DEEP];
    room[0] = *outer;
    return zero ? 0 : recurse(room) + room[0];
}

static void fail_recurse(HEXPERTKEY key)
{
    (void)key;
    volatile char first = 0;
    zero += recurse(&first);
}

static void fail_printf(HEXPERTKEY key)
{
    (void)key;
    printf("%s%d", (const char *)low, zero);
}

static void fail_lock(HEXPERTKEY key)
{
    flockfile(stdout);
    fail_write(key);
}

static void fail_raise(HEXPERTKEY key)
{
    (void)key;
    raise(SIGILL);
}

static void fail_abort(HEXPERTKEY key)
{
    (void)key;
    abort();
}

static void fail_exit(HEXPERTKEY key)
{
    (void)key;
    exit(3);
}

static void fail_exit_at_once(HEXPERTKEY key)
{
    (void)key;
    _exit(3);
}

static void fail_thread_exit(HEXPERTKEY key)
{
    (void)key;
    pthread_exit(NULL);
}

static void fail_loop(HEXPERTKEY key)
{
    (void)key;
    for (;;)
        __asm__ volatile("");
}

static void fail_block(HEXPERTKEY key)
{
    (void)key;
    for (;;)
        pause();
}

static void fail_deaf(HEXPERTKEY key)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    fail_loop(key);
}

static void fail_devour(HEXPERTKEY key)
{
    for (;;)
        if (ExpertAllocMemory(key, BLOCK, NULL))
            continue;
}

/* Faults inside of a function of the host. */
static void fail_event(HEXPERTKEY key)
{
    NMEVENTDATA event = {.szEventName = (LPSTR)low};
    ExpertSubmitEvent(key, &event);
}

/* Faults inside of malloc, whose lock it then has. */
static void fail_heap(HEXPERTKEY key)
{
    (void)key;
    static void *volatile blocks[2];
    blocks[0] = malloc(BLOCK);
    blocks[1] = malloc(1 << 16);
    memset((char *)blocks[0] + BLOCK, 0xff, 2 * BLOCK + (size_t)zero);
    free(blocks[1]);
    blocks[1] = malloc(1 << 17);
}

static void fail_double(HEXPERTKEY key)
{
    LPVOID block = ExpertAllocMemory(key, BLOCK, NULL);
    ExpertFreeMemory(key, block);
    ExpertFreeMemory(key, block);
}

static void fail_foreign(HEXPERTKEY key)
{
    static char foreign[BLOCK];
    ExpertFreeMemory(key, foreign);
    ExpertFreeMemory(key, foreign + 1);
}

static void fail_leak(HEXPERTKEY key)
{
    for (int i = 0; i < 10; i++)
        if (!ExpertAllocMemory(key, BLOCK, NULL))
            return;
}

static void *work(void *key)
{
    for (;;)
        ExpertFreeMemory(key, ExpertAllocMemory(key, BLOCK, NULL));
    return NULL;
}

static void fail_thread_left(HEXPERTKEY key)
{
    pthread_t thread;
    pthread_create(&thread, NULL, work, key);
}

static void *crash(void *key)
{
    fail_write(key);
    return NULL;
}

static void fail_thread_crash(HEXPERTKEY key)
{
    pthread_t thread;
    if (!pthread_create(&thread, NULL, crash, key))
        pthread_join(thread, NULL);
}

static const struct {
    const char *name;
    void (*fail)(HEXPERTKEY key);
} modes[] = {
    {"write", fail_write},
    {"jump", fail_jump},
    {"strlen", fail_strlen},
    {"recurse", fail_recurse},
    {"printf", fail_printf},
    {"lock", fail_lock},
    {"raise", fail_raise},
    {"abort", fail_abort},
    {"exit", fail_exit},
    {"_exit", fail_exit_at_once},
    {"pthread_exit", fail_thread_exit},
    {"loop", fail_loop},
    {"block", fail_block},
    {"deaf", fail_deaf},
    {"devour", fail_devour},
    {"event", fail_event},
    {"heap", fail_heap},
    {"double", fail_double},
    {"foreign", fail_foreign},
    {"leak", fail_leak},
    {"thread left", fail_thread_left},
    {"thread crash", fail_thread_crash},
};

static void fail_as(const char *name, HEXPERTKEY key)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(modes[i].name, name))
            modes[i].fail(key);
}

BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    snprintf(info->szName, sizeof info->szName, registered ? "contain%u" : "contain", registered);
    registered++;
    info->Flags = EXPERT_ENUM_FLAG_CONFIGURABLE;
    if (!strcmp(mode(), "register crash"))
        fail_write(NULL);
    if (!strcmp(mode(), "register loop"))
        fail_loop(NULL);
    return strcmp(mode(), "register refuse") != 0;
}

BOOL WINAPI Configure(HEXPERTKEY key, PEXPERTCONFIG *config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    if (!strcmp(mode(), "configure crash"))
        fail_write(key);
    return strcmp(mode(), "configure refuse") != 0;
}

static DWORD next_frame(HEXPERTKEY key, EXPERTFRAMEDESCRIPTOR *frame)
{
    return ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, 0, 0, NULL, frame);
}

BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    EXPERTFRAMEDESCRIPTOR frame;
    DWORD at = number("CONTAIN_FRAME", FRAME_DEFAULT);
    DWORD error;
    LPVOID kept = NULL;
    while (!(error = next_frame(key, &frame)) || !strcmp(mode(), "stay")) {
        ExpertFreeMemory(key, kept);
        kept = ExpertAllocMemory(key, BLOCK, NULL);
        if (!error && frame.FrameNumber == at)
            fail_as(mode(), key);
    }
    ExpertFreeMemory(key, kept);
    return error == NMERR_NO_MORE_FRAMES;
}
