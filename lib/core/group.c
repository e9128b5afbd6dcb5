#include "core/group.h"

struct group group_none = {.clock = 1};

/* Ages above BORN_AGE_MOST become BORN_AGE_MOST; born != 0 stays so, since the clock is odd (C7.4). */
void born_cut(struct group *group)
{
    for (uint32_t block = 0; block < GROUP_BLOCKS; block++)
        if (group->born[block] && (uint16_t)(group->clock - group->born[block]) > BORN_AGE_MOST)
            store_relaxed(&group->born[block], (uint16_t)(group->clock - BORN_AGE_MOST));
    POINT("load: ages cut");
}
