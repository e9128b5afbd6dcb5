/*
 * keyslab/inline.h: ks_alloc and ks_free without a call, for programs that allocate for each packet.
 *
 * Including it makes the two names macros, so that each call is compiled into the caller, with every check and every status of the
 * library's own functions. What is not usual still calls the library: a group that has no free block left, another thread's block, a large one, a
 * refusal. So do (ks_alloc)(key, size, status), and a pointer to either function. Where the size is a constant, the compiler
 * finds its size class.
 *
 * The price is the layout: the program knows where the library keeps what an allocation needs. The names that this header links to end in
 * the layout's number. So with a library of another layout a program does not link and, where it has been linked
 * already, does not start; it never runs wrong. A program that should run with every later version includes keyslab.h alone.
 *
 * gcc and clang, C11 and C++11. Cost, thread-safety and errors are those of the functions in keyslab.h. Names that end in an underscore are
 * the header's own.
 */
#ifndef KEYSLAB_INLINE_H
#define KEYSLAB_INLINE_H

#include <keyslab/keyslab.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ layout 1
 *
 * The parts of the library's structures that the fast paths use. lib/core/model.h says what each field is; lib/api/inline.c holds the two
 * against each other, and a test sees to it that the number changes with what stands here.
 */
#define KS_LAYOUT_(name) __asm__("ks_layout_1_" name)

#define KS_ALIAS_        __attribute__((may_alias))
#define KS_ALIGNED_(n)   __attribute__((aligned(n)))
#define KS_BUSY_         ((uint64_t)32)
#define KS_TABLE_MASK_   ((ks_key_t)0x1fffe0) /* a handle's index, where it is an offset into the thread's table */
#define KS_TOP_          ((size_t)65536)      /* bytes of the top class */
#define KS_GRANULE_      ((size_t)8)
#define KS_CLASSES_      49
#define KS_SLAB_SHIFT_   18
#define KS_GROUP_BLOCKS_ 32u
#define KS_CLOCK_SHIFT_  32
#define KS_CLOCK_STEP_   2u
#define KS_RECENTS_      ((uintptr_t)256) /* bytes and alignment of a list of recent groups */

struct ks_group_ {
    uint64_t word;
    uint16_t born[KS_GROUP_BLOCKS_];
} KS_ALIAS_;

struct ks_recent_ {
    struct ks_group_ *group;
    uintptr_t base;
} KS_ALIAS_;

struct ks_bin_ {
    struct ks_group_ *group;
    char *base;
    struct ks_recent_ *top;
    uint64_t countdown;
    uint64_t target;
    uint64_t freed;
    uint64_t sent;
    size_t block_bytes;
} KS_ALIGNED_(64) KS_ALIAS_;

struct ks_heap_ {
    struct ks_bin_ bins[KS_CLASSES_];
    uint64_t tag;
} KS_ALIAS_;

struct ks_classes_ {
    uint32_t count;
    uint16_t bins[KS_TOP_ / KS_GRANULE_ + 1];
} KS_ALIAS_;

struct ks_entry_ {
    ks_key_t handle;
    struct ks_heap_ *heap;
    const struct ks_classes_ *tuned;
} KS_ALIAS_;

struct ks_thread_ {
    uint64_t busy;
    const void *last;
    uintptr_t last_place;
} KS_ALIAS_;

struct ks_slab_ {
    uint64_t tag;
    uint64_t reciprocal;
    char *groups;
    uint32_t stride;
    uint32_t carved;
    size_t block_bytes;
    ks_key_t handle;
    uint32_t size_class;
    uint32_t bin;
} KS_ALIGNED_(128) KS_ALIAS_;

struct ks_range_ {
    char *base;
    struct ks_slab_ *slabs;
    void *others[3];
    size_t bytes;
    size_t high KS_ALIGNED_(64);
} KS_ALIAS_;

/* The default size classes, of which the compiler chooses one. */
#define KS_SIZES_(size_)                                                                                               \
    size_(16) size_(32) size_(48) size_(64) size_(80) size_(96) size_(112) size_(128) size_(144) size_(176) size_(224) \
        size_(256) size_(288) size_(384) size_(496) size_(512) size_(640) size_(832) size_(1024) size_(1088)           \
            size_(1280) size_(1344) size_(1472) size_(1536) size_(2048) size_(2560) size_(3264) size_(4096)            \
                size_(5440) size_(7040) size_(8192) size_(9216) size_(12288) size_(16384) size_(21824) size_(26176)    \
                    size_(32768) size_(43648) size_(52416) size_(65536)

/*
 * Each thread has the three, because a variable of a library that a program refers to directly is copied into the program, and this one is
 * not.
 */
#define KS_THREAD_LOCAL_ extern __thread __attribute__((visibility("default"), tls_model("initial-exec")))

KS_THREAD_LOCAL_ struct ks_thread_ *ks_thread_ KS_LAYOUT_("thread");
KS_THREAD_LOCAL_ struct ks_range_ *ks_range_ KS_LAYOUT_("range");
KS_THREAD_LOCAL_ const struct ks_classes_ *ks_classes_ KS_LAYOUT_("classes");

/* Ends an operation that has found another thread's block, or none. */
KS_API ks_status ks_free_batched_(ks_key_t key, void *block, struct ks_heap_ *heap, struct ks_thread_ *thread,
                                  struct ks_slab_ *slab) KS_LAYOUT_("free_batched");

/* ------------------------------------------------------------------ the fast paths
 *
 * As lib/api/alloc.c and lib/api/free.c have them, where the comments say why each step is safe.
 */
#define KS_LIKELY_(x)     __builtin_expect(!!(x), 1)
#define KS_LOAD_(p)       __atomic_load_n((p), __ATOMIC_RELAXED)
#define KS_STORE_(p, v)   __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define KS_RELEASE_(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define KS_FAST_          static inline __attribute__((always_inline, unused))

/* The flag is up before the thread looks at its table. The library's own calls, which may follow, raise it again. */
KS_FAST_ struct ks_thread_ *ks_begin_(void)
{
    struct ks_thread_ *thread = ks_thread_;
    KS_STORE_(&thread->busy, KS_BUSY_);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return thread;
}

KS_FAST_ void ks_end_(struct ks_thread_ *thread)
{
    KS_RELEASE_(&thread->busy, (uint64_t)0);
}

KS_FAST_ const struct ks_entry_ *ks_entry_(const struct ks_thread_ *thread, ks_key_t key)
{
    return (const struct ks_entry_ *)((const char *)thread + (key & KS_TABLE_MASK_));
}

#define KS_ONE_IF_SMALLER_(bytes) +(size_t)(size > (bytes))
#define KS_BYTES_IF_FITS_(bytes)  size <= (bytes) ? (size_t)(bytes):

/* In the default table: the number of a size's class, and its bytes. */
KS_FAST_ size_t ks_default_class_(size_t size)
{
    return (size_t)0 KS_SIZES_(KS_ONE_IF_SMALLER_);
}

KS_FAST_ size_t ks_default_bytes_(size_t size)
{
    return KS_SIZES_(KS_BYTES_IF_FITS_)(size_t) 0;
}

/* Where in a heap the bin of a size lies. */
KS_FAST_ size_t ks_bin_of_(const struct ks_classes_ *tuned, size_t size)
{
    if (__builtin_constant_p(size) && KS_LIKELY_(!tuned))
        return sizeof(struct ks_bin_) * ks_default_class_(size);
    return (KS_LIKELY_(!tuned) ? ks_classes_ : tuned)->bins[(size + KS_GRANULE_ - 1) / KS_GRANULE_];
}

/* The lowest free block of a group that has some. */
KS_FAST_ void *ks_take_(struct ks_thread_ *thread, struct ks_bin_ *bin, struct ks_group_ *group, uint64_t word,
                        size_t bytes)
{
    unsigned number = (unsigned)__builtin_ctz((uint32_t)word);
    void *block = bin->base + number * bytes;
    KS_STORE_(&group->born[number], (uint16_t)((word >> KS_CLOCK_SHIFT_) + KS_CLOCK_STEP_));
    KS_RELEASE_(&group->word, (word & (word - 1)) + ((uint64_t)KS_CLOCK_STEP_ << KS_CLOCK_SHIFT_));
    KS_STORE_(&bin->countdown, bin->countdown - 1);
    thread->last = block;
    thread->last_place = (uintptr_t)bin + number;
    return block;
}

KS_FAST_ KS_ALLOCATES(2) void *ks_alloc_inline(ks_key_t key, size_t size, ks_status *status)
{
    struct ks_thread_ *thread = ks_begin_();
    const struct ks_entry_ *entry = ks_entry_(thread, key);
    if (KS_LIKELY_(KS_LOAD_(&entry->handle) == key && size <= KS_TOP_)) {
        struct ks_bin_ *bin = (struct ks_bin_ *)((char *)entry->heap + ks_bin_of_(entry->tuned, size));
        uint64_t word = bin->group->word;
        if (KS_LIKELY_((uint32_t)word && bin->countdown > 1)) {
            bool known = __builtin_constant_p(size) && !entry->tuned;
            size_t bytes = known ? ks_default_bytes_(size) : bin->block_bytes;
            void *block = ks_take_(thread, bin, bin->group, word, bytes);
            ks_end_(thread);
            if (status)
                *status = KS_OK;
            return block;
        }
    }
    return (ks_alloc)(key, size, status);
}

/* Sets the bit of a block of the caller's own. False where it is set, or where the list of recent groups has no room for its group. */
KS_FAST_ bool ks_give_(struct ks_bin_ *bin, struct ks_group_ *group, const char *block, unsigned number)
{
    uint64_t word = group->word;
    struct ks_recent_ *top = bin->top;
    if (!KS_LIKELY_(!(word >> number & 1)))
        return false;
    if (!(uint32_t)word && bin->group != group) {
        if (!KS_LIKELY_((uintptr_t)top % KS_RECENTS_))
            return false;
        top->group = group;
        top->base = (uintptr_t)block - number * bin->block_bytes;
        bin->top = top + 1;
    }
    KS_STORE_(&group->word, word | (uint64_t)1 << number);
    KS_STORE_(&bin->freed, bin->freed + 1);
    return true;
}

/* The slab that an address lies in, and where; NULL where it cannot be the library's. */
KS_FAST_ struct ks_slab_ *ks_slab_of_(const void *block, size_t *within)
{
    const struct ks_range_ *bounds = ks_range_;
    size_t offset = (size_t)((uintptr_t)block - (uintptr_t)bounds->base);
    *within = offset % ((size_t)1 << KS_SLAB_SHIFT_);
    return KS_LIKELY_(offset < KS_LOAD_(&bounds->high)) ? &bounds->slabs[offset >> KS_SLAB_SHIFT_] : NULL;
}

/* Frees a block in a slab of the heap's own; false where the library has to find out what it is. */
KS_FAST_ bool ks_free_own_(struct ks_heap_ *heap, const struct ks_slab_ *slab, const char *block, size_t within)
{
    __extension__ unsigned __int128 product = within;
    product *= slab->reciprocal;
    uint32_t index = (uint32_t)(product >> 64);
    if (!KS_LIKELY_((uint64_t)product < slab->reciprocal && index < slab->carved))
        return false;
    return ks_give_((struct ks_bin_ *)((char *)heap + slab->bin),
                    (struct ks_group_ *)(slab->groups + (size_t)(index / KS_GROUP_BLOCKS_) * slab->stride), block,
                    index % KS_GROUP_BLOCKS_);
}

/* Frees the block that the thread was handed out last. */
KS_FAST_ bool ks_free_last_(const struct ks_thread_ *thread, const char *block)
{
    struct ks_bin_ *bin = (struct ks_bin_ *)(thread->last_place & ~(uintptr_t)(sizeof *bin - 1));
    return ks_give_(bin, bin->group, block, (unsigned)(thread->last_place % sizeof *bin));
}

KS_FAST_ ks_status ks_free_inline(ks_key_t key, void *block)
{
    struct ks_thread_ *thread = ks_begin_();
    const struct ks_entry_ *entry = ks_entry_(thread, key);
    if (KS_LIKELY_(KS_LOAD_(&entry->handle) == key)) {
        struct ks_heap_ *heap = entry->heap;
        bool freed = false;
        if (block == thread->last && thread->last_place - (uintptr_t)heap < sizeof heap->bins) {
            freed = ks_free_last_(thread, (const char *)block);
        } else {
            size_t within;
            struct ks_slab_ *slab = ks_slab_of_(block, &within);
            if (slab && KS_LOAD_(&slab->tag) != heap->tag)
                return ks_free_batched_(key, block, heap, thread, slab);
            freed = slab && ks_free_own_(heap, slab, (const char *)block, within);
        }
        if (KS_LIKELY_(freed)) {
            ks_end_(thread);
            return KS_OK;
        }
    }
    return (ks_free)(key, block);
}

#define ks_alloc(key, size, status) ks_alloc_inline((key), (size), (status))
#define ks_free(key, block)         ks_free_inline((key), (block))

#ifdef __cplusplus
}
#endif

#endif
