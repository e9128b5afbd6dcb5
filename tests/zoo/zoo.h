/*
 * The zoo: experts for tests, each with one fault. zoo.c is an expert that has none; each other file is linked with it and puts
 * its own function in the place of one of zoo.c's. The first comment of a file says what the expert does and what the host has
 * to say of it.
 */
#ifndef ZOO_ZOO_H
#define ZOO_ZOO_H

#include <keyslab/netmon.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The entry points. zoo.c's keep a block for each frame, free all of them, and return TRUE. */
NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info);
NETMON_API BOOL WINAPI Configure(HEXPERTKEY key, PEXPERTCONFIG *config, PEXPERTSTARTUPINFO startup, DWORD flags,
                                 HWND window);
NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

/* What happens at the frame of zoo_fault_frame(); zoo.c's does nothing. Where it returns, the expert goes on. */
void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame);

/* The number in the environment's ZOO_FRAME, or 1000. */
DWORD zoo_fault_frame(void);

/* The thread's next frame, without properties; what ExpertGetFrame returns. */
DWORD zoo_next(HEXPERTKEY key, EXPERTFRAMEDESCRIPTOR *frame);

/* Writes to address 8. */
void zoo_crash(void);

#ifdef __cplusplus
}
#endif

#endif
