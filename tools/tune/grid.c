#include "grid.h"

/* Of slab and outbox with the built-in value: it is tried where the section has another one, or another was kept. */
const struct grid_setting grid[GRID_SETTINGS] = {
    {SET_SLAB, false, {"64 KiB", "128 KiB", "256 KiB"}},
    {SET_RETAIN, false, {"0", "1 MiB", "16 MiB"}},
    {SET_OUTBOX, true, {"4 KiB", "16 KiB", "64 KiB", "256 KiB"}},
    {SET_FLUSH, true, {"16", "256"}},
};

char *grid_start(uint32_t setting, const struct tuning *tuning, char *text)
{
    uint64_t value = setting == SET_SLAB ? tuning->all.slab : settings_table[setting].initial;
    return setting_format(&settings_table[setting], value, text);
}
