/*
 * What a workload may ask of an allocator. A peer is a class with allocate and release, and what else it can do; a
 * workload is registered for the peers that can do what it needs.
 */
#ifndef BENCH_ALLOCATOR_H
#define BENCH_ALLOCATOR_H

#include <concepts>
#include <cstddef>

namespace bench
{

/* What a workload is going to do with an instance: pools of one size have to know before. */
struct Need {
    size_t size = 0; /* of every block, 0 for many sizes */
    size_t live = 1; /* most blocks at once */
    size_t threads = 1;
};

/* What is true of most peers; each one overrides what is different. */
struct Traits {
    /* One instance has blocks of many sizes. */
    static constexpr bool any_size = true;
    /* One block can be freed before the others: release(block). */
    static constexpr bool frees = true;
    /* Any thread may allocate from one instance; else each thread has its own. */
    static constexpr bool shared = false;
    /* A thread may free what another has allocated: release(block), or release_away(block) where it is not shared. */
    static constexpr bool frees_away = false;
    /* Where it has drop(): that does not look at every block. */
    static constexpr bool drops_at_once = true;
    /* Instances that a process can have at the same time; 0: it has but the one. */
    static constexpr size_t most_heaps = 0;
};

template <class A>
concept Allocator = std::constructible_from<A, const Need &> && requires(A allocator)
{
    {
        allocator.allocate(size_t{})
        } -> std::same_as<void *>;
};

/* Many blocks of a size in one call. */
template <class A>
concept Bulk = requires(A allocator, void **blocks)
{
    allocator.allocate_bulk(size_t{}, blocks, size_t{});
    allocator.release_bulk(blocks, size_t{});
};

/* Every block of the instance in one call. */
template <class A>
concept Drops = requires(A allocator)
{
    allocator.drop();
};

/* Unused memory back to the operating system. */
template <class A>
concept Purges = requires(A allocator)
{
    allocator.purge();
};

template <class A>
concept Resizes = requires(A allocator, void *block)
{
    {
        allocator.resize(block, size_t{})
        } -> std::same_as<void *>;
};

/* A thread that only frees may hold some back until it says that it is done. */
template <class A> void flush(A &allocator)
{
    if constexpr (requires { allocator.flush(); })
        allocator.flush();
}

/* Threads of some pools have to be announced; an object of this type lives as long as the thread works. */
template <class A> struct Thread {
};
template <class A>
requires requires
{
    typename A::Thread;
}
struct Thread<A> : A::Thread {
};

} // namespace bench

#endif
