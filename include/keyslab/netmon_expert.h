/*
 * An expert, as its host sees it: a shared object with the entry points Register, Run and, where it can be configured,
 * Configure, and what is passed to them.
 *
 *     BOOL WINAPI Register(PEXPERTENUMINFO pExpertInfo);
 *     BOOL WINAPI Configure(HEXPERTKEY hExpertKey, PEXPERTCONFIG *ppConfig, PEXPERTSTARTUPINFO pStartupInfo,
 *                           DWORD StartupFlags, HWND hwnd);
 *     BOOL WINAPI Run(HEXPERTKEY hExpertKey, PEXPERTCONFIG pConfig, PEXPERTSTARTUPINFO pStartupInfo,
 *                     DWORD StartupFlags, HWND hwnd);
 */
#ifndef KEYSLAB_NETMON_EXPERT_H
#define KEYSLAB_NETMON_EXPERT_H

#include "windows.h"

#define EXPERTSTRINGLENGTH    260
#define EXPERTGROUPNAMELENGTH 25
#define EXPERTENTRY_REGISTER  "Register"
#define EXPERTENTRY_CONFIGURE "Configure"
#define EXPERTENTRY_RUN       "Run"

typedef LPVOID HEXPERTKEY, *PHEXPERTKEY; /* a ks_key_t */
typedef LPVOID HEXPERT, *PHEXPERT;
typedef LPVOID HRUNNINGEXPERT, *PHRUNNINGEXPERT;
typedef HANDLE HFRAME, HCAPTURE, HFILTER, HPROTOCOL, HPARSER, HADDRESSDB;
typedef HFILTER *LPHFILTER;
typedef HPROTOCOL *LPHPROTOCOL;
typedef DWORD_PTR HPROPERTY;

/*
 * Network Monitor's parsers are not here, and so are no structures of theirs. lpPropertyTable is what the host has decoded, in
 * a form of its own; the other two are NULL.
 */
typedef LPVOID LPRECOGNIZEDATATABLE, LPPROPERTYTABLE, LPPROPERTYINST;

typedef struct _EXPERTENUMINFO *PEXPERTENUMINFO;
typedef struct _EXPERTCONFIG *PEXPERTCONFIG;
typedef struct _EXPERTSTARTUPINFO *PEXPERTSTARTUPINFO;
typedef BOOL(WINAPI *PEXPERTREGISTERPROC)(PEXPERTENUMINFO);
typedef BOOL(WINAPI *PEXPERTCONFIGPROC)(HEXPERTKEY, PEXPERTCONFIG *, PEXPERTSTARTUPINFO, DWORD, HWND);
typedef BOOL(WINAPI *PEXPERTRUNPROC)(HEXPERTKEY, PEXPERTCONFIG, PEXPERTSTARTUPINFO, DWORD, HWND);

/* Filled in by Register. */
typedef struct _EXPERTENUMINFO {
    char szName[EXPERTSTRINGLENGTH]; /* empty: the name of the file */
    char szVendor[EXPERTSTRINGLENGTH];
    char szDescription[EXPERTSTRINGLENGTH];
    DWORD Version;
    DWORD Flags; /* EXPERT_ENUM_FLAG_ */
    /* private to the host */
    char szDllName[MAX_PATH];
    HEXPERT hExpert;
    HINSTANCE hModule;
    PEXPERTREGISTERPROC pRegisterProc;
    PEXPERTCONFIGPROC pConfigProc;
    PEXPERTRUNPROC pRunProc;
} EXPERTENUMINFO;

#define EXPERT_ENUM_FLAG_CONFIGURABLE 0x1 /* Configure is called before Run */
/* About Network Monitor's windows; no difference here. */
#define EXPERT_ENUM_FLAG_VIEWER_PRIVATE           0x2
#define EXPERT_ENUM_FLAG_NO_VIEWER                0x4
#define EXPERT_ENUM_FLAG_ADD_ME_TO_RMC_IN_SUMMARY 0x10
#define EXPERT_ENUM_FLAG_ADD_ME_TO_RMC_IN_DETAIL  0x20

/*
 * How and where an expert was started. All but hCapture and szCaptureFile is about the place where the user clicked in a
 * window of Network Monitor: zero here.
 */
typedef struct _EXPERTSTARTUPINFO {
    DWORD Flags;
    HCAPTURE hCapture;
    char szCaptureFile[MAX_PATH]; /* the capture or the interface, as on the command line; cut */
    DWORD dwFrameNumber;
    HPROTOCOL hProtocol;
    LPPROPERTYINST lpPropertyInst;
    struct {
        BYTE BitNumber;
        BOOL bOn;
    } sBitfield;
} EXPERTSTARTUPINFO;

/* In StartupFlags. Never set here: there is nothing in the startup information that could be used. */
#define EXPERT_STARTUP_FLAG_USE_STARTUP_DATA_OVER_CONFIG_DATA 0x1

/* An expert's settings: of a form that it alone knows, in a block of ExpertAllocMemory. */
typedef struct _EXPERTCONFIG {
    DWORD RawConfigLength; /* in bytes; it counts itself */
    BYTE RawConfigData[];
} EXPERTCONFIG;

typedef struct {
    HEXPERT hExpert;
    DWORD StartupFlags;
    PEXPERTCONFIG pConfig;
} CONFIGUREDEXPERT, *PCONFIGUREDEXPERT;

/* ------------------------------------------------------------------ frames */

typedef struct _FRAME {
    int64_t TimeStamp; /* microseconds since 1970, where Network Monitor's are since the capture began */
    DWORD FrameLength; /* bytes on the wire */
    DWORD nBytesAvail; /* bytes captured, in MacFrame */
    BYTE MacFrame[];
} FRAME, *LPFRAME, UNALIGNED *ULPFRAME;

typedef struct {
    DWORD FrameNumber; /* from 1, where Network Monitor's are from 0 */
    HFRAME hFrame;
    ULPFRAME pFrame;
    LPRECOGNIZEDATATABLE lpRecognizeDataTable; /* NULL */
    LPPROPERTYTABLE lpPropertyTable;           /* NULL without FLAGS_ATTACH_PROPERTIES */
} EXPERTFRAMEDESCRIPTOR, *LPEXPERTFRAMEDESCRIPTOR;

#define INVALID_FRAME_NUMBER     ((DWORD)-1)
#define GET_SPECIFIED_FRAME      0
#define GET_FRAME_NEXT_FORWARD   1
#define GET_FRAME_NEXT_BACKWARD  2
#define FLAGS_DEFER_TO_UI_FILTER 0x1 /* the user's filter: that of --filter has passed every frame that there is */
#define FLAGS_ATTACH_PROPERTIES  0x2 /* fills in lpPropertyTable */

/* ------------------------------------------------------------------ status */

typedef enum {
    EXPERTSTATUS_INACTIVE = 0,
    EXPERTSTATUS_STARTING,
    EXPERTSTATUS_RUNNING,
    EXPERTSTATUS_PROBLEM,
    EXPERTSTATUS_ABORTED,
    EXPERTSTATUS_DONE
} EXPERTSTATUSENUMERATION;

#define EXPERTSUBSTATUS_ABORTED_USER        0x1
#define EXPERTSUBSTATUS_ABORTED_LOAD_FAIL   0x2
#define EXPERTSUBSTATUS_ABORTED_THREAD_FAIL 0x4
#define EXPERTSUBSTATUS_ABORTED_BAD_ENTRY   0x8

/* Where experts keep their status; the host has none of these. */
typedef struct {
    EXPERTSTATUSENUMERATION Status;
    DWORD SubStatus;
    DWORD PercentDone;
    DWORD Frame;
    char szStatusText[260];
} EXPERTSTATUS, *PEXPERTSTATUS;

/*
 * The layouts are those of 64-bit Windows. What differs are the ends of FRAME, EXPERTCONFIG and NMEVENTDATA, which are
 * arrays without a length here and of one or no element there: sizeof(FRAME) is 16, not 24.
 */
#if UINTPTR_MAX > UINT32_MAX && (defined(__cplusplus) ? __cplusplus >= 201103L : __STDC_VERSION__ >= 201112L)
#ifndef __cplusplus
#define KEYSLAB_LAYOUT(condition) _Static_assert(condition, #condition)
#else
#define KEYSLAB_LAYOUT(condition) static_assert(condition, #condition)
#endif
KEYSLAB_LAYOUT(offsetof(EXPERTENUMINFO, hExpert) == 1048 && sizeof(EXPERTENUMINFO) == 1088);
KEYSLAB_LAYOUT(offsetof(EXPERTSTARTUPINFO, dwFrameNumber) == 276 && sizeof(EXPERTSTARTUPINFO) == 304);
KEYSLAB_LAYOUT(offsetof(EXPERTCONFIG, RawConfigData) == 4 && offsetof(FRAME, MacFrame) == 16);
KEYSLAB_LAYOUT(sizeof(EXPERTFRAMEDESCRIPTOR) == 40 && sizeof(EXPERTSTATUS) == 276);
#undef KEYSLAB_LAYOUT
#endif

#endif
