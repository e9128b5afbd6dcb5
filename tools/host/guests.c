/* The threads that experts run on: how they are called, and how they are stopped. */
#include "contain.h"

#include "host.h"

#include "command.h"
#include "interrupt.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { ALTERNATE_BYTES = 64 << 10, RED_ZONE = 16 << 10 };

/* Of every expert's list, and of what a guest's place in it means: one that is there can be sent signals. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ------------------------------------------------------------------ lists */

static void guest_link(struct guest *guest)
{
    struct expert *expert = guest->expert;
    pthread_mutex_lock(&lock);
    guest->previous = NULL;
    guest->next = expert->guests;
    if (guest->next)
        guest->next->previous = guest;
    expert->guests = guest;
    pthread_mutex_unlock(&lock);
}

static void guest_unlink(struct guest *guest)
{
    pthread_mutex_lock(&lock);
    if (guest->next)
        guest->next->previous = guest->previous;
    if (guest->previous)
        guest->previous->next = guest->next;
    else
        guest->expert->guests = guest->next;
    pthread_mutex_unlock(&lock);
}

/* ------------------------------------------------------------------ a guest's thread */

static void find_stack(struct guest *guest)
{
    pthread_attr_t attributes;
    void *start;
    size_t size;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    char here;
    guest->base = guest->stack = NULL;
    if (pthread_getattr_np(pthread_self(), &attributes))
        return;
    if (!pthread_attr_getstack(&attributes, &start, &size)) {
        guest->stack = start;
        guest->base = (char *)((uintptr_t)&here & ~(page - 1)) - RED_ZONE;
    }
    pthread_attr_destroy(&attributes);
}

/* Handlers have a stack of their own, so that one that has overflowed is reported too. */
static void find_alternate(struct guest *guest)
{
    void *memory =
        mmap(NULL, ALTERNATE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        host_fatal("a stack for handlers", KS_NO_MEMORY);
    guest->alternate = memory;
    sigaltstack(&(stack_t){.ss_sp = memory, .ss_size = ALTERNATE_BYTES}, NULL);
}

static void guest_enter(struct guest *guest)
{
    sigset_t set;
    guest->thread = pthread_self();
    guest->task = gettid();
    host_guest = guest;
    find_stack(guest);
    find_alternate(guest);
    if (!guest->is_begun)
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    contain_signals(&set);
    real_pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    guest_link(guest);
}

/* What a deep recursion has touched of the stack goes back at once. */
static void release_stack(const struct guest *guest)
{
    if (guest->base > guest->stack)
        madvise(guest->stack, (size_t)(guest->base - guest->stack), MADV_DONTNEED);
}

__attribute__((noinline)) bool guest_call(struct guest *guest, void (*function)(void *), void *argument)
{
    guest_enter(guest);
    if (sigsetjmp(guest->begin, 1)) {
        atomic_store(&guest->state, GUEST_OUTSIDE);
        release_stack(guest);
        return false;
    }
    /* In this order: who stops the guests of an expert that has failed finds this one, or it finds that the expert has failed. */
    atomic_store(&guest->state, GUEST_RUNNING);
    bool is_called = !atomic_load(&guest->expert->failed);
    if (is_called)
        function(argument);
    atomic_store(&guest->state, GUEST_OUTSIDE);
    return is_called;
}

void guest_leave(struct guest *guest)
{
    atomic_store(&guest->state, GUEST_ENDED);
    guest_unlink(guest);
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    munmap(guest->alternate, ALTERNATE_BYTES);
}

/* ------------------------------------------------------------------ threads that experts begin */

struct begun {
    struct guest guest;
    void *(*start)(void *);
    void *argument;
    void *result;
};

static pthread_key_t begun_key;
static pthread_once_t begun_once = PTHREAD_ONCE_INIT;

/* The last that a thread runs of its own accord: behind the destructors of its data, which are the expert's. */
static void begun_end(void *value)
{
    struct begun *begun = value;
    guest_leave(&begun->guest);
    host_guest = NULL;
    free(begun);
}

static void begun_make_key(void)
{
    if (pthread_key_create(&begun_key, begun_end))
        host_fatal("threads of experts", KS_NO_MEMORY);
}

static void begun_run(void *argument)
{
    struct begun *begun = argument;
    begun->result = begun->start(begun->argument);
}

/* However it ends, by pthread_exit or cancelled too: what follows are destructors. */
static void begun_is_over(void *argument)
{
    struct begun *begun = argument;
    atomic_store(&begun->guest.state, GUEST_ENDED);
}

static void *begun_main(void *argument)
{
    struct begun *begun = argument;
    pthread_setspecific(begun_key, begun);
    pthread_cleanup_push(begun_is_over, begun);
    /* Nobody joins one that was unwound, and what is not joined keeps its stack. */
    if (!guest_call(&begun->guest, begun_run, begun))
        pthread_detach(pthread_self());
    pthread_cleanup_pop(1);
    return begun->result;
}

int guest_begin_thread(struct guest *parent, pthread_t *thread, const pthread_attr_t *attributes,
                       void *(*start)(void *), void *argument)
{
    struct expert *expert = parent->expert;
    struct begun *begun = atomic_load(&expert->failed) ? NULL : calloc(1, sizeof *begun);
    if (!begun)
        return EAGAIN;
    pthread_once(&begun_once, begun_make_key);
    *begun = (struct begun){
        .guest = {.expert = expert, .number = atomic_fetch_add(&expert->threads, 1) + 1, .is_begun = true},
        .start = start,
        .argument = argument,
    };
    int error = real_pthread_create(thread, attributes, begun_main, begun);
    if (error)
        free(begun);
    return error;
}

/* ------------------------------------------------------------------ stopping */

bool guests_run(struct expert *expert)
{
    bool run = false;
    pthread_mutex_lock(&lock);
    for (const struct guest *guest = expert->guests; guest; guest = guest->next)
        run |= guest->is_begun && atomic_load(&guest->state) == GUEST_RUNNING;
    pthread_mutex_unlock(&lock);
    return run;
}

bool guests_remain(struct expert *expert)
{
    bool remain = false;
    pthread_mutex_lock(&lock);
    for (const struct guest *guest = expert->guests; guest; guest = guest->next)
        remain |= guest->is_begun;
    pthread_mutex_unlock(&lock);
    return remain;
}

/* Signals of this kind queue up: who has too little of a processor would do nothing but handle them. Under the lock. */
static void guest_signal(struct guest *guest)
{
    if (atomic_load(&guest->is_asked))
        return;
    if (guest->rest) {
        guest->rest--;
        return;
    }
    atomic_store(&guest->is_asked, true);
    if (pthread_kill(guest->thread, contain_signal()))
        atomic_store(&guest->is_asked, false);
}

void guest_ask(struct guest *guest)
{
    pthread_mutex_lock(&lock);
    atomic_store(&guest->found, FOUND_NOT_YET);
    if (atomic_load(&guest->state) == GUEST_RUNNING)
        guest_signal(guest);
    pthread_mutex_unlock(&lock);
}

unsigned guests_stop(struct expert *expert, enum insist insist)
{
    unsigned running = 0;
    pthread_mutex_lock(&lock);
    for (struct guest *guest = expert->guests; guest; guest = guest->next) {
        expert->is_stuck |= atomic_load(&guest->state) == GUEST_PARKED;
        if (atomic_load(&guest->state) != GUEST_RUNNING)
            continue;
        running++;
        atomic_store(&guest->insist, insist);
        guest_signal(guest);
    }
    pthread_mutex_unlock(&lock);
    return running;
}

/* ------------------------------------------------------------------ Register and Configure */

struct aside {
    struct guest guest;
    void (*function)(void *);
    void *argument;
    sem_t over;
    bool returned;
};

static void *aside_main(void *argument)
{
    struct aside *aside = argument;
    aside->returned = guest_call(&aside->guest, aside->function, aside->argument);
    guest_leave(&aside->guest);
    sem_post(&aside->over);
    return NULL;
}

static bool aside_is_over(struct aside *aside, double seconds)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)seconds;
    end.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    return !sem_clockwait(&aside->over, CLOCK_MONOTONIC, &end);
}

/* It waits in short steps, between which a parked thread or an interrupt is noticed. */
static bool aside_wait(struct aside *aside, double seconds)
{
    enum { STEPS_A_SECOND = 50 };
    for (uint64_t steps = 0; !seconds || (double)steps < seconds * STEPS_A_SECOND; steps++) {
        if (aside_is_over(aside, 1.0 / STEPS_A_SECOND))
            return true;
        if (atomic_load(&aside->guest.state) == GUEST_PARKED || interrupt_is_late())
            return false;
    }
    return false;
}

/* After the time limit. */
static bool aside_stop(struct aside *aside, double seconds)
{
    struct expert *expert = aside->guest.expert;
    if (interrupt_is_late())
        expert_fail(expert, &aside->guest, FAILURE_IGNORED, 0, "did not return when the run was interrupted");
    else
        expert_fail(expert, &aside->guest, FAILURE_TIME, 0, "did not return within %g s", seconds);
    expert_stop_all(expert);
    return atomic_load(&aside->guest.state) != GUEST_PARKED && aside_is_over(aside, 1);
}

bool guest_call_aside(struct expert *expert, void (*function)(void *), void *argument, double seconds)
{
    struct aside *aside = calloc(1, sizeof *aside);
    sigset_t before;
    if (!aside)
        host_fatal("calling an expert", KS_NO_MEMORY);
    *aside = (struct aside){.guest = {.expert = expert, .number = 1}, .function = function, .argument = argument};
    sem_init(&aside->over, 0, 0);
    interrupt_block(&before);
    int error = real_pthread_create(&aside->guest.thread, NULL, aside_main, aside);
    interrupt_unblock(&before);
    if (error) {
        complain("expert %s: a thread: %s", expert->name, strerror(error));
        exit(EXIT_FAILED);
    }
    /* What a parked thread stands on is never freed. */
    if (!aside_wait(aside, seconds) && !aside_stop(aside, seconds)) {
        expert->is_stuck = true;
        pthread_detach(aside->guest.thread);
        return false;
    }
    bool returned = aside->returned;
    pthread_join(aside->guest.thread, NULL);
    sem_destroy(&aside->over);
    free(aside);
    return returned;
}
