/*
 * An expert for tests of --isolate. At each thousandth frame that it gets it submits an event, `life`, with the number of its process
 * and of the first frame, and then does what the environment says, ISOLATE_EXPERT: "segv", "frame" (writes to the frame), "kill",
 * "loop", "garbage" (overwrites all that the process may write), "scribble" (sends what is no message). Without it nothing.
 */
#include <keyslab/netmon.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info);
NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

enum { EACH = 1000, COLUMNS = 2, DESCRIPTORS = 64 };

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    snprintf(info->szName, sizeof info->szName, "isolate");
    return TRUE;
}

static void set_number(NMCOLUMNINFO *column, const char *name, DWORD number)
{
    column->szColumnName = (LPSTR)name;
    column->VariantData.Type = NMCOLUMNTYPE_UINT32;
    column->VariantData.Value.Uint32Val = number;
}

static void submit(HEXPERTKEY key, DWORD first)
{
    _Alignas(NMEVENTDATA) char bytes[sizeof(NMEVENTDATA) + COLUMNS * sizeof(NMCOLUMNINFO)] = {0};
    NMEVENTDATA *event = (NMEVENTDATA *)bytes;
    event->szEventName = (LPSTR) "life";
    event->NumColumns = COLUMNS;
    set_number(&event->Column[0], "first", first);
    set_number(&event->Column[1], "process", (DWORD)getpid());
    ExpertSubmitEvent(key, event);
}

/* Everything that is shared and can be written to. */
static void overwrite_shared(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        uintptr_t start;
        uintptr_t end;
        char access[5];
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &start, &end, access) == 3 && !strcmp(access, "rw-s"))
            memset((void *)start, 0xa5, end - start);
    }
    for (;;)
        pause();
}

static void scribble(void)
{
    static const char text[] = "this is no message, however it is read";
    for (int i = 3; i < DESCRIPTORS; i++)
        send(i, text, sizeof text, MSG_NOSIGNAL);
    for (;;)
        pause();
}

static void act(const char *what, const EXPERTFRAMEDESCRIPTOR *frame)
{
    if (!strcmp(what, "segv"))
        *(volatile int *)strtoul("8", NULL, 0) = 1;
    else if (!strcmp(what, "frame"))
        frame->pFrame->MacFrame[0] = 1;
    else if (!strcmp(what, "kill"))
        kill(getpid(), SIGKILL);
    else if (!strcmp(what, "garbage"))
        overwrite_shared();
    else if (!strcmp(what, "scribble"))
        scribble();
    else if (!strcmp(what, "loop"))
        for (;;)
            pause();
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    const char *what = getenv("ISOLATE_EXPERT");
    EXPERTFRAMEDESCRIPTOR frame;
    DWORD error, first = 0, count = 0;
    while ((error = ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, 0, 0, NULL, &frame)) == NMERR_SUCCESS) {
        first = first ? first : frame.FrameNumber;
        if (++count % EACH)
            continue;
        submit(key, first);
        if (what)
            act(what, &frame);
    }
    return error == NMERR_NO_MORE_FRAMES;
}
