#include "checks/paranoid.h"

#include "checks/guard.h"
#include "checks/quarantine.h"

const struct checks checks_paranoid = {
    .freed = quarantine_freed,
    .waiting = quarantine_waiting,
    .choose = quarantine_choose,
    .handed_out = quarantine_check,
    .release = quarantine_release,
    .dropped = quarantine_dropped,
    .slab_begun = guard_set,
    .slab_ended = guard_lift,
    .slab_tail = PAGE,
};
