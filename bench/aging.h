/*
 * A heap that has been used. Fresh heaps hand out neighbouring blocks in the order of their addresses; one from which
 * blocks of a class and of the classes next to it were freed at random does not.
 */
#ifndef BENCH_AGING_H
#define BENCH_AGING_H

#include "allocator.h"
#include "random.h"
#include "require.h"
#include "table.h"

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace bench
{

enum class Heap { fresh, aged };

/*
 * 65,536 blocks each of a size, of three quarters and of five quarters of it are live at once, their first words
 * written, and are then freed in random order. `draw()` returns the size.
 */
template <Allocator A, class Draw> void age_with(A &allocator, Draw draw)
{
    constexpr size_t quarters[] = {4, 3, 5};
    constexpr size_t of_each = 65536;
    Table<void *> blocks(of_each * std::size(quarters));
    Random random;
    for (size_t i = 0; i < blocks.size(); i++) {
        blocks[i] = allocator.allocate(draw() * quarters[i % std::size(quarters)] / 4);
        require(blocks[i], "aging: an allocation failed");
        *static_cast<uint64_t *>(blocks[i]) = i;
    }
    shuffle(blocks, random);
    for (void *block : blocks)
        allocator.release(block);
}

template <Allocator A> void prepare(A &allocator, Heap heap, size_t size)
{
    if constexpr (A::frees && A::any_size)
        if (heap == Heap::aged)
            age_with(allocator, [size] { return size; });
}

} // namespace bench

#endif
