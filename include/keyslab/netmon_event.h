/*
 * What an expert finds, as it hands it to ExpertSubmitEvent: a name, a severity, where, when and a description, and any
 * number of columns, each with a name, a type and a value.
 */
#ifndef KEYSLAB_NETMON_EVENT_H
#define KEYSLAB_NETMON_EVENT_H

#include "windows.h"

typedef enum {
    NMCOLUMNTYPE_UINT8 = 0,
    NMCOLUMNTYPE_SINT8,
    NMCOLUMNTYPE_UINT16,
    NMCOLUMNTYPE_SINT16,
    NMCOLUMNTYPE_UINT32,
    NMCOLUMNTYPE_SINT32,
    NMCOLUMNTYPE_FLOAT64,
    NMCOLUMNTYPE_FRAME,     /* a frame's number */
    NMCOLUMNTYPE_YESNO,     /* "yes" or "no" in tables; true or false in JSON, as the next two */
    NMCOLUMNTYPE_ONOFF,     /* "on" or "off" */
    NMCOLUMNTYPE_TRUEFALSE, /* "true" or "false" */
    NMCOLUMNTYPE_MACADDR,   /* 00:00:5e:00:53:01 */
    NMCOLUMNTYPE_IPXADDR,   /* 00000001.00005e005301: network, and node */
    NMCOLUMNTYPE_IPADDR,    /* IPv4, in the order of the bytes in a frame: 192.0.2.1 */
    NMCOLUMNTYPE_VARTIME,   /* days since 1899-12-30, and the part of the day: 2024-02-29 12:00:00.000 */
    NMCOLUMNTYPE_STRING     /* ends with a zero byte; NULL is an empty one */
} NMCOLUMNTYPE;

typedef struct _IPX_ADDR {
    BYTE Subnet[4];
    BYTE Address[6];
} IPX_ADDR, *LPIPX_ADDR;

typedef struct _NMCOLUMNVARIANT {
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
        IPX_ADDR IPXAddrVal;
        DWORD IPAddrVal;
        DOUBLE VarTimeVal;
        LPCSTR pStringVal;
    } Value;
} NMCOLUMNVARIANT;

typedef struct _NMCOLUMNINFO {
    LPSTR szColumnName;
    NMCOLUMNVARIANT VariantData;
} NMCOLUMNINFO, *PNMCOLUMNINFO;

typedef LPSTR JTYPE;

/* What the structure begins with; its columns lie behind: sizeof(NMEVENTDATA) and NumColumns of sizeof(NMCOLUMNINFO). */
typedef struct _NMEVENTDATA {
    LPSTR pszReserved;
    BYTE Version;     /* 0 */
    DWORD EventIdent; /* the expert's own number for this kind of event; 0 for none */
    DWORD Flags;      /* NMEVENTFLAG_ */
    DWORD Severity;   /* NMEVENT_SEVERITY_ */
    BYTE NumColumns;
    LPSTR szSourceName;
    LPSTR szEventName;
    LPSTR szDescription;
    LPSTR szMachine;
    JTYPE Justification; /* not looked at */
    PVOID pvReserved;
    SYSTEMTIME SysTime; /* all zero for none */
    NMCOLUMNINFO Column[];
} NMEVENTDATA, *PNMEVENTDATA;

enum _NMEVENT_SEVERITIES {
    NMEVENT_SEVERITY_INFORMATIONAL = 0,
    NMEVENT_SEVERITY_WARNING,
    NMEVENT_SEVERITY_STRONG_WARNING,
    NMEVENT_SEVERITY_ERROR,
    NMEVENT_SEVERITY_SEVERE_ERROR,
    NMEVENT_SEVERITY_CRITICAL_ERROR
};

#define NMEVENTFLAG_EXPERT 0x1
/* Leave a member out of the report, whatever it holds. */
#define NMEVENTFLAG_DO_NOT_DISPLAY_SEVERITY      0x80000000u
#define NMEVENTFLAG_DO_NOT_DISPLAY_SOURCE        0x40000000u
#define NMEVENTFLAG_DO_NOT_DISPLAY_EVENT_NAME    0x20000000u
#define NMEVENTFLAG_DO_NOT_DISPLAY_DESCRIPTION   0x10000000u
#define NMEVENTFLAG_DO_NOT_DISPLAY_MACHINE       0x08000000u
#define NMEVENTFLAG_DO_NOT_DISPLAY_TIME          0x04000000u
#define NMEVENTFLAG_DO_NOT_DISPLAY_DATE          0x02000000u
#define NMEVENTFLAG_DO_NOT_DISPLAY_FIXED_COLUMNS 0xfe000000u /* all of them */

#endif
