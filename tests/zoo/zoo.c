/* The expert without a fault, whose functions the others replace. The host has nothing to say of it. */
#include "zoo.h"

#include <stdio.h>
#include <stdlib.h>

enum { FAULT_FRAME = 1000, BLOCK = 48 };

struct block {
    struct block *next;
    char bytes[BLOCK - sizeof(struct block *)];
};

DWORD zoo_fault_frame(void)
{
    const char *text = getenv("ZOO_FRAME");
    return text ? (DWORD)strtoul(text, NULL, 10) : FAULT_FRAME;
}

DWORD zoo_next(HEXPERTKEY key, EXPERTFRAMEDESCRIPTOR *frame)
{
    return ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, 0, 0, NULL, frame);
}

void zoo_crash(void)
{
    /* Not a constant: compilers make a trap of a write to one. */
    static volatile uintptr_t address = 8;
    *(volatile int *)address = 1;
}

__attribute__((weak)) void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
}

__attribute__((weak)) NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    snprintf(info->szName, sizeof info->szName, "%s", ZOO_NAME);
    info->Flags = EXPERT_ENUM_FLAG_CONFIGURABLE;
    return TRUE;
}

__attribute__((weak)) NETMON_API BOOL WINAPI Configure(HEXPERTKEY key, PEXPERTCONFIG *config,
                                                       PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)key, (void)config, (void)startup, (void)flags, (void)window;
    return TRUE;
}

static DWORD keep_block(HEXPERTKEY key, struct block **kept)
{
    DWORD error;
    struct block *block = ExpertAllocMemory(key, sizeof *block, &error);
    if (block) {
        block->next = *kept;
        *kept = block;
    }
    return error;
}

static DWORD free_blocks(HEXPERTKEY key, struct block *kept)
{
    DWORD error = NMERR_SUCCESS;
    while (kept && !error) {
        struct block *next = kept->next;
        error = (DWORD)ExpertFreeMemory(key, kept);
        kept = next;
    }
    return error;
}

__attribute__((weak)) NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup,
                                                 DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    EXPERTFRAMEDESCRIPTOR frame;
    struct block *kept = NULL;
    DWORD error;
    while (!(error = zoo_next(key, &frame)) && !(error = keep_block(key, &kept)))
        if (frame.FrameNumber == zoo_fault_frame())
            zoo_fault(key, &frame);
    return error == NMERR_NO_MORE_FRAMES && !free_blocks(key, kept);
}
