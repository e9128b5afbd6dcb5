// new, delete and what lives in thread-local and static objects, under LD_PRELOAD.
#include <cstdint>
#include <cstdio>
#include <malloc.h>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace
{

struct alignas(128) Wide {
    char bytes[200];
};

std::map<int, std::string> kept; // filled in main, freed after it
thread_local std::vector<std::string> of_thread;

bool is_ours(void *block, size_t size)
{
    return malloc_usable_size(block) >= size;
}

bool huge_is_refused()
{
    volatile size_t huge = SIZE_MAX / 2;
    try {
        std::unique_ptr<char[]> block(new char[huge]);
        return false;
    } catch (const std::bad_alloc &) {
    }
    return ::operator new(huge, std::nothrow) == nullptr;
}

void work()
{
    for (int i = 0; i < 1000; i++)
        of_thread.emplace_back(static_cast<size_t>(i), 'x');
}

} // namespace

int main()
{
    auto *number = new int(7);
    auto *wide = new Wide[3];
    bool good = is_ours(number, sizeof *number) && is_ours(static_cast<void *>(wide), sizeof *wide * 3) &&
                reinterpret_cast<uintptr_t>(wide) % alignof(Wide) == 0 && huge_is_refused();
    delete number;
    delete[] wide;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back(work);
    for (auto &thread : threads)
        thread.join();
    for (int i = 0; i < 1000; i++)
        kept[i] = std::string(static_cast<size_t>(i), 'y');
    std::puts(good ? "done" : "wrong");
    return 0;
}
