/* Sizes drawn by their weights: "64:7,594:4,1518:1" is seven of 64 bytes to four of 594 to one of 1,518. */
#ifndef BENCH_MIX_H
#define BENCH_MIX_H

#include "random.h"
#include "table.h"

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace bench
{

class Mix
{
    static constexpr size_t draws_count = 4096;

    Table<uint32_t> draws{draws_count};
    double mean_size = 0;

    static std::vector<std::pair<uint32_t, double>> parse(const std::string &text)
    {
        std::vector<std::pair<uint32_t, double>> parts;
        for (const char *at = text.c_str(); *at;) {
            unsigned size;
            double weight;
            int length;
            require(sscanf(at, "%u:%lf%n", &size, &weight, &length) == 2 && size && weight > 0,
                    "--sizes: SIZE:WEIGHT,... is expected, both above zero");
            parts.emplace_back(size, weight);
            at += length;
            at += *at == ',';
        }
        require(!parts.empty(), "--sizes: no sizes");
        return parts;
    }

  public:
    /* Every size has its share of the draws, to one in 4,096; their order is random. */
    explicit Mix(const std::string &text)
    {
        auto parts = parse(text);
        double weights = 0;
        for (auto [size, weight] : parts)
            weights += weight;
        double until = 0;
        size_t filled = 0;
        for (auto [size, weight] : parts) {
            until += weight / weights * draws_count;
            while (filled < draws_count && static_cast<double>(filled) + 0.5 < until)
                draws[filled++] = size;
        }
        while (filled < draws_count)
            draws[filled++] = parts.back().first;
        for (uint32_t size : draws)
            mean_size += static_cast<double>(size) / draws_count;
        Random random;
        shuffle(draws, random);
    }
    uint32_t draw(Random &random)
    {
        return draws[random.next() % draws_count];
    }
    double mean() const
    {
        return mean_size;
    }
};

} // namespace bench

#endif
