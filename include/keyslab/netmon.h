/*
 * The memory functions and the expert's interface of Microsoft Network Monitor 2, over keyslab: what a source
 * written for Netmon.h needs to compile unchanged with `#include <netmon.h>` and the flags of `pkg-config
 * --cflags keyslab-netmon`.
 *
 * Source of names, signatures, values and layouts: the Network Monitor 2 reference and its Netmon.h. A DWORD
 * is 32 bits here too, and so is a LONG, whatever the platform's long is.
 *
 * The memory functions are in libkeyslab; the other Expert functions are the host's (see `keyslab run`),
 * which an expert finds in the program that loads it.
 */
#ifndef KEYSLAB_NETMON_H
#define KEYSLAB_NETMON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NETMON_API __attribute__((visibility("default")))
#else
#define NETMON_API
#endif

#ifndef WINAPI
#define WINAPI
#endif

#ifndef VOID
#define VOID void
#endif
typedef void *LPVOID, *PVOID, *HANDLE;
typedef int BOOL;
typedef uint8_t BYTE, *LPBYTE;
typedef uint16_t WORD;
typedef uint32_t DWORD, *LPDWORD;
typedef int32_t LONG;
typedef size_t SIZE_T;
typedef char *LPSTR;
typedef const char *LPCSTR;
typedef double DOUBLE;

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif
#ifndef MAX_PATH
#define MAX_PATH 260
#endif

typedef LPVOID HEXPERTKEY; /* a ks_key_t */
typedef LPVOID HEXPERT;
typedef HANDLE HFRAME, HCAPTURE, HFILTER, HPROTOCOL, HWND, HINSTANCE;

/* ------------------------------------------------------------------ results */

#define NMERR_SUCCESS               0
#define NMERR_NO_MORE_FRAMES        5
#define NMERR_OUT_OF_MEMORY         19
#define NMERR_OUT_OF_RANGE          24
#define NMERR_NO_FRAMES             38
#define NMERR_FRAME_NOT_FOUND       51
#define NMERR_INVALID_DATA          60
#define NMERR_INVALID_PACKET_LENGTH 67
#define NMERR_INTERNAL_EXCEPTION    69
#define NMERR_ACCESS_DENIED         74
#define NMERR_INVALID_PARAMETER     76
#define NMERR_NOT_SUPPORTED         90
#define NMERR_LOAD_EXPERT_FAILED    118
#define NMERR_EXPERT_REPORT_FAILED  119
#define NMERR_EXPERT_TERMINATE      125
#define NMERR_INVALID_EXPERT_HANDLE 130
#define NMERR_NOT_INITIALIZED       135

/* ------------------------------------------------------------------ memory
 *
 * Any thread, any live key, no lock: cost, alignment and thread-safety are those of ks_alloc, ks_realloc,
 * ks_free and ks_size. The block belongs to the key; if the expert fails at run time, the host drops all of
 * them.
 *
 * `*pError`, where pError is not NULL, and the result of ExpertFreeMemory are
 *
 *     NMERR_SUCCESS                also for NULL to free, which does nothing
 *     NMERR_OUT_OF_MEMORY          no memory, or the key's quota is used up
 *     NMERR_OUT_OF_RANGE           the size is more than can be addressed
 *     NMERR_INVALID_PARAMETER      not a live block of the key
 *     NMERR_INVALID_EXPERT_HANDLE  no such key, or a destroyed one
 *     NMERR_EXPERT_TERMINATE       clean up and return at once; a block to free has been freed
 */

/* nBytes bytes, uninitialised; zero bytes give a unique block. NULL with the reason in *pError. */
NETMON_API LPVOID WINAPI ExpertAllocMemory(HEXPERTKEY hExpertKey, SIZE_T nBytes, LPDWORD pError);

/*
 * The block, larger or smaller, perhaps elsewhere; NULL with the reason, and the original is untouched. A
 * NULL original allocates; zero bytes free it and return NULL with NMERR_SUCCESS.
 */
NETMON_API LPVOID WINAPI ExpertReallocMemory(HEXPERTKEY hExpertKey, LPVOID pOriginalMemory, SIZE_T nBytes,
                                             LPDWORD pError);

/* NMERR_SUCCESS, or the reason. SIZE_T is the reference's type for it. */
NETMON_API SIZE_T WINAPI ExpertFreeMemory(HEXPERTKEY hExpertKey, LPVOID pMemory);

/* The bytes of the block: what was asked for or more; 0 for what is not a live block of the key. */
NETMON_API SIZE_T WINAPI ExpertMemorySize(HEXPERTKEY hExpertKey, LPVOID pOriginalMemory);

/* ------------------------------------------------------------------ experts */

#define EXPERTSTRINGLENGTH            260
#define EXPERTENTRY_REGISTER          "Register"
#define EXPERTENTRY_CONFIGURE         "Configure"
#define EXPERTENTRY_RUN               "Run"
#define EXPERT_ENUM_FLAG_CONFIGURABLE 0x1

typedef struct {
    DWORD RawConfigLength; /* it counts itself */
    BYTE RawConfigData[];
} EXPERTCONFIG, *PEXPERTCONFIG;

typedef struct {
    DWORD Flags;
    HCAPTURE hCapture;
    char szCaptureFile[MAX_PATH];
    DWORD dwFrameNumber;
    HPROTOCOL hProtocol;
    LPVOID lpPropertyInst;
    struct {
        BYTE BitNumber;
        BOOL bOn;
    } sBitfield;
} EXPERTSTARTUPINFO, *PEXPERTSTARTUPINFO;

typedef struct EXPERTENUMINFO *PEXPERTENUMINFO;
typedef BOOL(WINAPI *PEXPERTREGISTERPROC)(PEXPERTENUMINFO);
typedef BOOL(WINAPI *PEXPERTCONFIGPROC)(HEXPERTKEY, PEXPERTCONFIG *, PEXPERTSTARTUPINFO, DWORD, HWND);
typedef BOOL(WINAPI *PEXPERTRUNPROC)(HEXPERTKEY, PEXPERTCONFIG, PEXPERTSTARTUPINFO, DWORD, HWND);

typedef struct EXPERTENUMINFO {
    char szName[EXPERTSTRINGLENGTH];
    char szVendor[EXPERTSTRINGLENGTH];
    char szDescription[EXPERTSTRINGLENGTH];
    DWORD Version; /* 0 */
    DWORD Flags;
    /* private to the host */
    char szDllName[MAX_PATH];
    HEXPERT hExpert;
    HINSTANCE hModule;
    PEXPERTREGISTERPROC pRegisterProc;
    PEXPERTCONFIGPROC pConfigProc;
    PEXPERTRUNPROC pRunProc;
} EXPERTENUMINFO;

typedef struct {
    int64_t TimeStamp; /* microseconds since 1970 */
    DWORD FrameLength; /* bytes on the wire */
    DWORD nBytesAvail; /* bytes captured, in MacFrame */
    BYTE MacFrame[];
} FRAME, *LPFRAME, *ULPFRAME;

typedef struct {
    DWORD FrameNumber; /* from 1 */
    HFRAME hFrame;
    ULPFRAME pFrame;
    LPVOID lpRecognizeDataTable;
    LPVOID lpPropertyTable;
} EXPERTFRAMEDESCRIPTOR, *LPEXPERTFRAMEDESCRIPTOR;

#define GET_SPECIFIED_FRAME     0
#define GET_FRAME_NEXT_FORWARD  1
#define GET_FRAME_NEXT_BACKWARD 2
#define FLAGS_ATTACH_PROPERTIES 0x2 /* fills in lpPropertyTable */

typedef enum {
    EXPERTSTATUS_INACTIVE = 0,
    EXPERTSTATUS_STARTING,
    EXPERTSTATUS_RUNNING,
    EXPERTSTATUS_PROBLEM,
    EXPERTSTATUS_ABORTED,
    EXPERTSTATUS_DONE
} EXPERTSTATUSENUMERATION;

#define EXPERTSUBSTATUS_ABORTED_USER        1
#define EXPERTSUBSTATUS_ABORTED_LOAD_FAIL   2
#define EXPERTSUBSTATUS_ABORTED_THREAD_FAIL 4
#define EXPERTSUBSTATUS_ABORTED_BAD_ENTRY   8

#define NMEVENT_SEVERITY_INFORMATIONAL      0
#define NMEVENT_SEVERITY_WARNING            1
#define NMEVENT_SEVERITY_STRONG_WARNING     2
#define NMEVENT_SEVERITY_ERROR              3
#define NMEVENT_SEVERITY_SEVERE_ERROR       4
#define NMEVENT_SEVERITY_CRITICAL_ERROR     5

#define NMEVENTFLAG_EXPERT                  0x1

typedef enum {
    NMCOLUMNTYPE_UINT8 = 0,
    NMCOLUMNTYPE_SINT8,
    NMCOLUMNTYPE_UINT16,
    NMCOLUMNTYPE_SINT16,
    NMCOLUMNTYPE_UINT32,
    NMCOLUMNTYPE_SINT32,
    NMCOLUMNTYPE_FLOAT64,
    NMCOLUMNTYPE_FRAME,
    NMCOLUMNTYPE_YESNO,
    NMCOLUMNTYPE_ONOFF,
    NMCOLUMNTYPE_TRUEFALSE,
    NMCOLUMNTYPE_MACADDR,
    NMCOLUMNTYPE_IPXADDR,
    NMCOLUMNTYPE_IPADDR,
    NMCOLUMNTYPE_VARTIME,
    NMCOLUMNTYPE_STRING
} NMCOLUMNTYPE;

typedef struct {
    NMCOLUMNTYPE Type;
    union {
        BYTE Uint8Val;
        char Sint8Val;
        WORD Uint16Val;
        short Sint16Val;
        DWORD Uint32Val;
        LONG Sint32Val;
        DOUBLE Float64Val;
        DWORD FrameVal;
        BOOL YesNoVal;
        BOOL OnOffVal;
        BOOL TrueFalseVal;
        BYTE MACAddrVal[6];
        BYTE IPXAddrVal[10];
        DWORD IPAddrVal;
        DOUBLE VarTimeVal;
        LPCSTR pStringVal;
    } Value;
} NMCOLUMNVARIANT;

typedef struct {
    LPSTR szColumnName;
    NMCOLUMNVARIANT VariantData;
} NMCOLUMNINFO;

typedef struct {
    WORD wYear, wMonth, wDayOfWeek, wDay, wHour, wMinute, wSecond, wMilliseconds;
} SYSTEMTIME;

typedef enum { JTYPE_LEFT = 0, JTYPE_RIGHT, JTYPE_CENTER } JTYPE;

typedef struct {
    LPSTR pszReserved;
    BYTE Version; /* 0 */
    DWORD EventIdent;
    DWORD Flags;
    DWORD Severity;
    BYTE NumColumns;
    LPSTR szSourceName;
    LPSTR szEventName;
    LPSTR szDescription;
    LPSTR szMachine;
    JTYPE Justification;
    PVOID pvReserved;
    SYSTEMTIME SysTime;
    NMCOLUMNINFO Column[];
} NMEVENTDATA, *PNMEVENTDATA;

/*
 * The host's functions, to be called inside Run. Each returns NMERR_SUCCESS, or NMERR_EXPERT_TERMINATE, upon
 * which the expert cleans up and returns at once.
 */

/*
 * Fills the caller's descriptor with the next frame of this thread's share of the capture;
 * NMERR_NO_MORE_FRAMES at its end. The frame is good until the thread's next call. This host knows
 * GET_FRAME_NEXT_FORWARD, no filter, and of the flags FLAGS_ATTACH_PROPERTIES; anything else is
 * NMERR_NOT_SUPPORTED. What lpPropertyTable then refers to is what the host has decoded, in a form of its own.
 */
NETMON_API DWORD WINAPI ExpertGetFrame(HEXPERTKEY hExpertKey, DWORD Direction, DWORD RequestFlags,
                                       DWORD RequestedFrameNumber, HFILTER hFilter,
                                       LPEXPERTFRAMEDESCRIPTOR pEFrameDescriptor);

/* Progress for the user: a status, a line of text (may be NULL), percent done (above 99 is ignored). */
NETMON_API DWORD WINAPI ExpertIndicateStatus(HEXPERTKEY hExpertKey, EXPERTSTATUSENUMERATION Status, DWORD SubStatus,
                                             const char *szText, LONG PercentDone);

/* Hands a finding to the host, which copies what it keeps. */
NETMON_API DWORD WINAPI ExpertSubmitEvent(HEXPERTKEY hExpertKey, PNMEVENTDATA pExpertEvent);

/* How and where the expert was started. */
NETMON_API DWORD WINAPI ExpertGetStartupInfo(HEXPERTKEY hExpertKey, PEXPERTSTARTUPINFO pExpertStartupInfo);

#ifdef __cplusplus
}
#endif

#endif
