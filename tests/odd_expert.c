/*
 * An expert for tests. What it does is in the environment, ODD_EXPERT: "slow" takes a while for each frame, "stuck" never asks for a
 * second one, "names" submits an event whose texts are not UTF-8, and gives up with such a text.
 */
#include <keyslab/netmon.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info);
NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

enum { SLOW_MICROSECONDS = 50000, COLUMNS = 3 };

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    snprintf(info->szName, sizeof info->szName, "odd\xe9");
    snprintf(info->szDescription, sizeof info->szDescription, "not UTF-8: \xff");
    return TRUE;
}

static BOOL submit(HEXPERTKEY key)
{
    static char bytes[sizeof(NMEVENTDATA) + COLUMNS * sizeof(NMCOLUMNINFO)];
    NMEVENTDATA *event = (NMEVENTDATA *)bytes;
    event->szEventName = (LPSTR) "event \xe9";
    event->NumColumns = COLUMNS;
    event->Column[0].szColumnName = (LPSTR) "column \xe9";
    event->Column[0].VariantData.Type = NMCOLUMNTYPE_STRING;
    event->Column[0].VariantData.Value.pStringVal = "text \xe9";
    event->Column[1].szColumnName = (LPSTR) "nan";
    event->Column[1].VariantData.Type = NMCOLUMNTYPE_FLOAT64;
    event->Column[1].VariantData.Value.Float64Val = NAN;
    event->Column[2].szColumnName = (LPSTR) "large";
    event->Column[2].VariantData.Type = NMCOLUMNTYPE_FLOAT64;
    event->Column[2].VariantData.Value.Float64Val = 1e300;
    return ExpertSubmitEvent(key, event) == NMERR_SUCCESS;
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    const char *what = getenv("ODD_EXPERT");
    EXPERTFRAMEDESCRIPTOR frame;
    while (ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, 0, 0, NULL, &frame) == NMERR_SUCCESS) {
        if (!strcmp(what, "slow"))
            usleep(SLOW_MICROSECONDS);
        while (!strcmp(what, "stuck"))
            pause();
    }
    if (strcmp(what, "names") != 0)
        return TRUE;
    submit(key);
    ExpertIndicateStatus(key, EXPERTSTATUS_PROBLEM, 0, "gave up: \xe9", 0);
    return FALSE;
}
