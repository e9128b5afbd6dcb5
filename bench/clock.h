/*
 * Time of pieces that are too short for a system clock. The counter of the processor is read without waiting for the
 * instructions before it, so a piece is charged with some of its neighbour's work and the other way round; the sum is
 * right. What the reading takes is measured and taken off.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace bench
{

inline uint64_t nanoseconds()
{
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

inline uint64_t ticks()
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t count;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#else
    return nanoseconds();
#endif
}

struct Ticks {
    double nanoseconds; /* a tick */
    double reading;     /* ticks between two readings with nothing between them */
};

inline const Ticks &calibration()
{
    static const Ticks measured = [] {
        uint64_t from_time = nanoseconds();
        uint64_t from = ticks();
        uint64_t least = UINT64_MAX;
        /* Twenty milliseconds: the system clock's own jitter is then a hundred thousandth. */
        while (nanoseconds() - from_time < 20000000) {
            uint64_t before = ticks();
            for (int i = 0; i < 99; i++)
                ticks();
            least = std::min(least, ticks() - before);
        }
        double elapsed = static_cast<double>(nanoseconds() - from_time);
        return Ticks{elapsed / static_cast<double>(ticks() - from), static_cast<double>(least) / 100};
    }();
    return measured;
}

inline double nanoseconds_since(uint64_t start)
{
    const Ticks &tick = calibration();
    return std::max(1.0, static_cast<double>(ticks() - start) - tick.reading) * tick.nanoseconds;
}

/* One kind of piece, many times over. The median of the last ones: one that was interrupted is as long as a thousand. */
class Pieces
{
    static constexpr size_t kept = 4096;

    std::array<uint64_t, kept> lengths;
    size_t count = 0;

  public:
    void add(uint64_t from, uint64_t to)
    {
        lengths[count++ % kept] = to - from;
    }
    void clear()
    {
        count = 0;
    }
    double median_nanoseconds()
    {
        size_t there = std::min(count, kept);
        uint64_t *middle = lengths.data() + there / 2;
        std::nth_element(lengths.data(), middle, lengths.data() + there);
        const Ticks &tick = calibration();
        return std::max(0.0, static_cast<double>(*middle) - tick.reading) * tick.nanoseconds;
    }
};

} // namespace bench

#endif
