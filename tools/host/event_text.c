#include "event_text.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* VARTIME's first day is 1899-12-30; its last is at the end of 9999. */
#define DAYS_BEFORE_1970 25569.0
#define DAYS_MOST        2958465.0
#define DAY_MILLISECONDS 86400000.0

static const char *mac_text(const BYTE *mac, char *buffer)
{
    snprintf(buffer, VALUE_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    return buffer;
}

static const char *ipx_text(const IPX_ADDR *ipx, char *buffer)
{
    const BYTE *net = ipx->Subnet;
    const BYTE *node = ipx->Address;
    snprintf(buffer, VALUE_TEXT, "%02x%02x%02x%02x.%02x%02x%02x%02x%02x%02x", net[0], net[1], net[2], net[3], node[0],
             node[1], node[2], node[3], node[4], node[5]);
    return buffer;
}

/* The part of the day is counted forward before 1899, too. */
static const char *vartime_text(double days, char *buffer)
{
    struct tm tm;
    if (!(fabs(days) <= DAYS_MOST)) {
        snprintf(buffer, VALUE_TEXT, "no time: %g", days);
        return buffer;
    }
    double day = trunc(days);
    int64_t milliseconds = llround((day - DAYS_BEFORE_1970 + fabs(days - day)) * DAY_MILLISECONDS);
    time_t seconds = (time_t)(milliseconds / 1000 - (milliseconds % 1000 < 0));
    size_t length = strftime(buffer, VALUE_TEXT, "%Y-%m-%d %H:%M:%S", gmtime_r(&seconds, &tm));
    snprintf(buffer + length, VALUE_TEXT - length, ".%03d", (int)(milliseconds - (int64_t)seconds * 1000));
    return buffer;
}

const char *value_text(const NMCOLUMNVARIANT *value, char buffer[VALUE_TEXT])
{
    switch (value->Type) {
    case NMCOLUMNTYPE_YESNO:
        return value->Value.YesNoVal ? "yes" : "no";
    case NMCOLUMNTYPE_ONOFF:
        return value->Value.OnOffVal ? "on" : "off";
    case NMCOLUMNTYPE_TRUEFALSE:
        return value->Value.TrueFalseVal ? "true" : "false";
    case NMCOLUMNTYPE_MACADDR:
        return mac_text(value->Value.MACAddrVal, buffer);
    case NMCOLUMNTYPE_IPXADDR:
        return ipx_text(&value->Value.IPXAddrVal, buffer);
    case NMCOLUMNTYPE_IPADDR:
        return inet_ntop(AF_INET, &value->Value.IPAddrVal, buffer, VALUE_TEXT);
    case NMCOLUMNTYPE_VARTIME:
        return vartime_text(value->Value.VarTimeVal, buffer);
    case NMCOLUMNTYPE_STRING:
        return value->Value.pStringVal ? value->Value.pStringVal : "";
    default:
        return NULL;
    }
}

double value_number(const NMCOLUMNVARIANT *value)
{
    switch (value->Type) {
    case NMCOLUMNTYPE_UINT8:
        return value->Value.Uint8Val;
    case NMCOLUMNTYPE_SINT8:
        return (signed char)value->Value.Sint8Val;
    case NMCOLUMNTYPE_UINT16:
        return value->Value.Uint16Val;
    case NMCOLUMNTYPE_SINT16:
        return value->Value.Sint16Val;
    case NMCOLUMNTYPE_UINT32:
        return value->Value.Uint32Val;
    case NMCOLUMNTYPE_SINT32:
        return value->Value.Sint32Val;
    case NMCOLUMNTYPE_FLOAT64:
        return value->Value.Float64Val;
    case NMCOLUMNTYPE_FRAME:
        return value->Value.FrameVal;
    case NMCOLUMNTYPE_YESNO:
    case NMCOLUMNTYPE_ONOFF:
    case NMCOLUMNTYPE_TRUEFALSE:
        return value->Value.YesNoVal != 0;
    default:
        return 0;
    }
}

const char *system_time_text(const SYSTEMTIME *time, bool has_date, bool has_time, char buffer[VALUE_TEXT])
{
    static const SYSTEMTIME none;
    int length = 0;
    if (!memcmp(time, &none, sizeof none) || !(has_date || has_time))
        return NULL;
    if (has_date)
        length = snprintf(buffer, VALUE_TEXT, "%04u-%02u-%02u%s", time->wYear, time->wMonth % 100u, time->wDay % 100u,
                          has_time ? " " : "");
    if (has_time)
        snprintf(buffer + length, VALUE_TEXT - (size_t)length, "%02u:%02u:%02u.%03u", time->wHour % 100u,
                 time->wMinute % 100u, time->wSecond % 100u, time->wMilliseconds % 1000u);
    return buffer;
}
