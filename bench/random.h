/* Numbers that are the same in every run and for every peer (SplitMix64: Steele, Lea and Flood, OOPSLA 2014). */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <cstddef>
#include <cstdint>
#include <utility>

namespace bench
{

class Random
{
    uint64_t state;

  public:
    explicit Random(uint64_t seed = 1) : state(seed)
    {
    }
    uint64_t next()
    {
        uint64_t z = state += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
    /* 0 to limit - 1; limits below 2^32. */
    size_t below(size_t limit)
    {
        return static_cast<size_t>((next() >> 32) * limit >> 32);
    }
};

template <class Array> void shuffle(Array &array, Random &random)
{
    for (size_t i = array.size(); i > 1; i--)
        std::swap(array[i - 1], array[random.below(i)]);
}

} // namespace bench

#endif
