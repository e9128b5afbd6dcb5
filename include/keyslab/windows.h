/*
 * What Network Monitor's headers and the sources of experts take from Windows: its names of types, its calling
 * conventions, and the few macros and string functions that such sources are full of. It is found by
 * `#include <windows.h>` under the flags of `pkg-config --cflags keyslab-netmon` only, and there is nothing else of
 * Windows in it: no windows, no resources, no files.
 *
 * Types have the sizes that they have on 64-bit Windows. A DWORD, a LONG and a ULONG are 32 bits whatever the platform's
 * long is: `%u` and `%d` print them, where a Windows source has `%lu` and `%ld`. A WCHAR has 16 bits.
 */
#ifndef KEYSLAB_WINDOWS_H
#define KEYSLAB_WINDOWS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ------------------------------------------------------------------ calling conventions and annotations */

#ifndef WINAPI
#define WINAPI
#endif
#ifndef WINAPIV
#define WINAPIV
#endif
#ifndef APIENTRY
#define APIENTRY WINAPI
#endif
#ifndef CALLBACK
#define CALLBACK
#endif
#ifndef PASCAL
#define PASCAL
#endif
#ifndef FAR
#define FAR
#endif
#ifndef NEAR
#define NEAR
#endif
#ifndef CONST
#define CONST const
#endif
#ifndef IN
#define IN
#endif
#ifndef OUT
#define OUT
#endif
#ifndef OPTIONAL
#define OPTIONAL
#endif
/* x86-64 and the other processors of Linux read what is not aligned. */
#ifndef UNALIGNED
#define UNALIGNED
#endif
#ifndef __cdecl
#define __cdecl
#endif
#ifndef __stdcall
#define __stdcall
#endif
#ifndef __int64
#define __int64 long long
#endif

/* What Windows exports by name, an expert's shared object shows by its visibility. */
#ifndef __declspec
#define __declspec(attribute) KEYSLAB_DECLSPEC_##attribute
#endif
#define KEYSLAB_DECLSPEC_dllexport    __attribute__((visibility("default")))
#define KEYSLAB_DECLSPEC_dllimport    __attribute__((visibility("default")))
#define KEYSLAB_DECLSPEC_thread       __thread
#define KEYSLAB_DECLSPEC_noinline     __attribute__((noinline))
#define KEYSLAB_DECLSPEC_noreturn     __attribute__((noreturn))
#define KEYSLAB_DECLSPEC_align(bytes) __attribute__((aligned(bytes)))

/* ------------------------------------------------------------------ types */

#ifndef VOID
#define VOID void
#endif
typedef void *PVOID, *LPVOID, *HANDLE;
typedef const void *LPCVOID;
typedef HANDLE HWND, HINSTANCE, HMODULE;

typedef int BOOL, *PBOOL, *LPBOOL;
typedef uint8_t BYTE, *PBYTE, *LPBYTE, BOOLEAN;
typedef uint16_t WORD, *PWORD, *LPWORD;
typedef uint32_t DWORD, *PDWORD, *LPDWORD;
typedef char CHAR, *PCHAR;
typedef unsigned char UCHAR, *PUCHAR;
typedef int16_t SHORT, *PSHORT;
typedef uint16_t USHORT, *PUSHORT, WCHAR, *PWSTR, *LPWSTR;
typedef const uint16_t *PCWSTR, *LPCWSTR;
typedef int INT, *PINT, *LPINT;
typedef unsigned int UINT, *PUINT;
typedef int32_t LONG, *PLONG, *LPLONG, INT32;
typedef uint32_t ULONG, *PULONG, UINT32, DWORD32;
typedef int64_t LONGLONG, LONG64, INT64;
typedef uint64_t ULONGLONG, DWORDLONG, ULONG64, UINT64, DWORD64;
typedef float FLOAT;
typedef double DOUBLE;
typedef char *PSTR, *LPSTR;
typedef const char *PCSTR, *LPCSTR;

typedef size_t SIZE_T, *PSIZE_T;
typedef ptrdiff_t SSIZE_T;
typedef intptr_t INT_PTR, LONG_PTR;
typedef uintptr_t UINT_PTR, ULONG_PTR, DWORD_PTR, *PDWORD_PTR;

/* Of little-endian processors, as those of Windows are. */
typedef union _LARGE_INTEGER {
    struct {
        DWORD LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

/* Months and days of the month from 1, days of the week from 0 for Sunday. */
typedef struct _SYSTEMTIME {
    WORD wYear;
    WORD wMonth;
    WORD wDayOfWeek;
    WORD wDay;
    WORD wHour;
    WORD wMinute;
    WORD wSecond;
    WORD wMilliseconds;
} SYSTEMTIME, *PSYSTEMTIME, *LPSYSTEMTIME;

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif
#ifndef MAX_PATH
#define MAX_PATH 260
#endif

/* ------------------------------------------------------------------ words and bytes */

#define MAKEWORD(low, high) ((WORD)((BYTE)(low) | (WORD)((WORD)(BYTE)(high) << 8)))
#define MAKELONG(low, high) ((LONG)((WORD)(low) | (DWORD)(WORD)(high) << 16))
#define LOWORD(value)       ((WORD)((DWORD_PTR)(value)&0xffff))
#define HIWORD(value)       ((WORD)((DWORD_PTR)(value) >> 16 & 0xffff))
#define LOBYTE(value)       ((BYTE)((DWORD_PTR)(value)&0xff))
#define HIBYTE(value)       ((BYTE)((DWORD_PTR)(value) >> 8 & 0xff))

/* ------------------------------------------------------------------ memory and text */

#define ZeroMemory(to, size)       memset((to), 0, (size))
#define FillMemory(to, size, byte) memset((to), (byte), (size))
#define CopyMemory(to, from, size) memcpy((to), (from), (size))
#define MoveMemory(to, from, size) memmove((to), (from), (size))

#define lstrlen(text)              ((int)strlen(text))
#define lstrcpy(to, from)          strcpy((to), (from))
#define lstrcat(to, from)          strcat((to), (from))
#define lstrcmp(one, other)        strcmp((one), (other))
#define lstrcmpi(one, other)       strcasecmp((one), (other))
#define wsprintf                   sprintf
#ifndef _snprintf
#define _snprintf snprintf
#endif
#ifndef _stricmp
#define _stricmp strcasecmp
#endif
#ifndef _strnicmp
#define _strnicmp strncasecmp
#endif

#ifndef UNREFERENCED_PARAMETER
#define UNREFERENCED_PARAMETER(parameter) ((void)(parameter))
#endif

/*
 * Reasons that Windows calls DllMain for. Nobody calls it here, and it may stay in a source: what it does belongs into
 * Register, or into a constructor.
 */
#define DLL_PROCESS_DETACH 0
#define DLL_PROCESS_ATTACH 1
#define DLL_THREAD_ATTACH  2
#define DLL_THREAD_DETACH  3

#endif
