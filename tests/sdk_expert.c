// clang-format off
//
//  SDKEXPRT.C - a source in the manner of Network Monitor's sample experts: compiled unchanged against netmon.h, and run.
//
#include <windows.h>
#include <netmon.h>
#include <stdlib.h>

#define SDK_COLUMNS 17
#define SDK_EVENTS  2

typedef struct _SDKCONFIG
{
    DWORD RawConfigLength;
    DWORD MinimumLength;
    CHAR  Label[32];
} SDKCONFIG, *PSDKCONFIG;

HINSTANCE g_hInstance = NULL;

__declspec(dllexport) BOOL WINAPI Register(PEXPERTENUMINFO pExpertInfo);
__declspec(dllexport) BOOL WINAPI Configure(HEXPERTKEY hExpertKey, PEXPERTCONFIG *ppConfig, PEXPERTSTARTUPINFO pStartupInfo,
                                            DWORD StartupFlags, HWND hWnd);
__declspec(dllexport) BOOL WINAPI Run(HEXPERTKEY hExpertKey, PEXPERTCONFIG pConfig, PEXPERTSTARTUPINFO pStartupInfo,
                                      DWORD StartupFlags, HWND hWnd);

BOOL WINAPI DllMain(HINSTANCE hInstance, ULONG ulReason, LPVOID pvReserved)
{
    UNREFERENCED_PARAMETER(pvReserved);
    switch (ulReason)
    {
        case DLL_PROCESS_ATTACH:
            g_hInstance = hInstance;
            break;

        case DLL_PROCESS_DETACH:
            break;
    }
    return TRUE;
}

BOOL WINAPI Register(PEXPERTENUMINFO pExpertInfo)
{
    pExpertInfo->Flags = EXPERT_ENUM_FLAG_CONFIGURABLE | EXPERT_ENUM_FLAG_VIEWER_PRIVATE;
    pExpertInfo->Version = 1;
    lstrcpy(pExpertInfo->szName, "SDK sample");
    lstrcpy(pExpertInfo->szVendor, "tests");
    lstrcpy(pExpertInfo->szDescription, "Counts long frames");
    return TRUE;
}

BOOL WINAPI Configure(HEXPERTKEY hExpertKey, PEXPERTCONFIG *ppConfig, PEXPERTSTARTUPINFO pStartupInfo, DWORD StartupFlags,
                      HWND hWnd)
{
    PSDKCONFIG pConfig = (PSDKCONFIG)*ppConfig;
    LPSTR      pMinimum = getenv("SDK_MINIMUM");
    DWORD      rc = NMERR_SUCCESS;

    UNREFERENCED_PARAMETER(hWnd);
    if (pStartupInfo == NULL || (StartupFlags & EXPERT_STARTUP_FLAG_USE_STARTUP_DATA_OVER_CONFIG_DATA))
        return FALSE;
    if (pConfig == NULL)
    {
        pConfig = (PSDKCONFIG)ExpertAllocMemory(hExpertKey, sizeof(SDKCONFIG), &rc);
        if (pConfig == NULL)
            return FALSE;
        ZeroMemory(pConfig, sizeof(SDKCONFIG));
        pConfig->RawConfigLength = sizeof(SDKCONFIG);
        pConfig->MinimumLength = 1000;
        wsprintf(pConfig->Label, "at least %u", pConfig->MinimumLength);
    }
    if (pMinimum != NULL)
    {
        pConfig->MinimumLength = (DWORD)atoi(pMinimum);
        wsprintf(pConfig->Label, "at least %u", pConfig->MinimumLength);
    }
    *ppConfig = (PEXPERTCONFIG)pConfig;
    return TRUE;
}

static VOID SetColumn(PNMEVENTDATA pEvent, LPCSTR pName, NMCOLUMNTYPE Type)
{
    pEvent->Column[pEvent->NumColumns].szColumnName = (LPSTR)pName;
    pEvent->Column[pEvent->NumColumns].VariantData.Type = Type;
    pEvent->NumColumns++;
}

static DWORD SubmitSummary(HEXPERTKEY hExpertKey, PSDKCONFIG pConfig, DWORD nFrames, DWORD LastFrame)
{
    static const BYTE Address[6] = {0x00, 0x00, 0x5e, 0x00, 0x53, 0x01};
    static const BYTE Network[4] = {0, 0, 0, 1};
    static const BYTE Internet[4] = {192, 0, 2, 1};
    DWORD             rc = NMERR_SUCCESS;
    SIZE_T            Size = sizeof(NMEVENTDATA) + SDK_COLUMNS * sizeof(NMCOLUMNINFO);
    PNMEVENTDATA      pEvent = (PNMEVENTDATA)ExpertAllocMemory(hExpertKey, Size, &rc);

    if (pEvent == NULL)
        return rc;
    ZeroMemory(pEvent, Size);
    pEvent->EventIdent = 7;
    pEvent->Flags = NMEVENTFLAG_EXPERT;
    pEvent->Severity = NMEVENT_SEVERITY_WARNING;
    pEvent->szSourceName = (LPSTR) "SDK source";
    pEvent->szEventName = (LPSTR) "Long frames";
    pEvent->szDescription = pConfig->Label;
    pEvent->szMachine = (LPSTR) "host.example";
    pEvent->SysTime.wYear = 2024;
    pEvent->SysTime.wMonth = 2;
    pEvent->SysTime.wDay = 29;
    pEvent->SysTime.wHour = 23;
    pEvent->SysTime.wMilliseconds = 5;
    SetColumn(pEvent, "Frames", NMCOLUMNTYPE_UINT32);
    pEvent->Column[0].VariantData.Value.Uint32Val = nFrames;
    SetColumn(pEvent, "Last", NMCOLUMNTYPE_FRAME);
    pEvent->Column[1].VariantData.Value.FrameVal = LastFrame;
    SetColumn(pEvent, "Uint8", NMCOLUMNTYPE_UINT8);
    pEvent->Column[2].VariantData.Value.Uint8Val = 200;
    SetColumn(pEvent, "Sint8", NMCOLUMNTYPE_SINT8);
    pEvent->Column[3].VariantData.Value.Sint8Val = -100;
    SetColumn(pEvent, "Uint16", NMCOLUMNTYPE_UINT16);
    pEvent->Column[4].VariantData.Value.Uint16Val = 60000;
    SetColumn(pEvent, "Sint16", NMCOLUMNTYPE_SINT16);
    pEvent->Column[5].VariantData.Value.Sint16Val = -30000;
    SetColumn(pEvent, "Sint32", NMCOLUMNTYPE_SINT32);
    pEvent->Column[6].VariantData.Value.Sint32Val = -2000000000;
    SetColumn(pEvent, "Float64", NMCOLUMNTYPE_FLOAT64);
    pEvent->Column[7].VariantData.Value.Float64Val = 2.5;
    SetColumn(pEvent, "YesNo", NMCOLUMNTYPE_YESNO);
    pEvent->Column[8].VariantData.Value.YesNoVal = TRUE;
    SetColumn(pEvent, "OnOff", NMCOLUMNTYPE_ONOFF);
    pEvent->Column[9].VariantData.Value.OnOffVal = FALSE;
    SetColumn(pEvent, "TrueFalse", NMCOLUMNTYPE_TRUEFALSE);
    pEvent->Column[10].VariantData.Value.TrueFalseVal = TRUE;
    SetColumn(pEvent, "Address", NMCOLUMNTYPE_MACADDR);
    CopyMemory(pEvent->Column[11].VariantData.Value.MACAddrVal, Address, sizeof(Address));
    SetColumn(pEvent, "Address", NMCOLUMNTYPE_IPXADDR);
    CopyMemory(pEvent->Column[12].VariantData.Value.IPXAddrVal.Subnet, Network, sizeof(Network));
    CopyMemory(pEvent->Column[12].VariantData.Value.IPXAddrVal.Address, Address, sizeof(Address));
    SetColumn(pEvent, "Address", NMCOLUMNTYPE_IPADDR);
    CopyMemory(&pEvent->Column[13].VariantData.Value.IPAddrVal, Internet, sizeof(Internet));
    SetColumn(pEvent, "VarTime", NMCOLUMNTYPE_VARTIME);
    pEvent->Column[14].VariantData.Value.VarTimeVal = 45351.5;
    SetColumn(pEvent, "event", NMCOLUMNTYPE_STRING);
    pEvent->Column[15].VariantData.Value.pStringVal = "a text";
    SetColumn(pEvent, "Nothing", NMCOLUMNTYPE_STRING);
    rc = ExpertSubmitEvent(hExpertKey, pEvent);
    pEvent->Flags |= NMEVENTFLAG_DO_NOT_DISPLAY_FIXED_COLUMNS;
    pEvent->EventIdent = 0;
    pEvent->NumColumns = 2;
    if (rc == NMERR_SUCCESS)
        rc = ExpertSubmitEvent(hExpertKey, pEvent);
    pEvent->Column[0].VariantData.Type = (NMCOLUMNTYPE)(NMCOLUMNTYPE_STRING + 1);
    if (ExpertSubmitEvent(hExpertKey, pEvent) != NMERR_NOT_SUPPORTED || ExpertSubmitEvent(hExpertKey, NULL) == NMERR_SUCCESS)
        rc = NMERR_INVALID_DATA;
    ExpertFreeMemory(hExpertKey, pEvent);
    return rc;
}

BOOL WINAPI Run(HEXPERTKEY hExpertKey, PEXPERTCONFIG pExpertConfig, PEXPERTSTARTUPINFO pStartupInfo, DWORD StartupFlags, HWND hWnd)
{
    PSDKCONFIG            pConfig = (PSDKCONFIG)pExpertConfig;
    EXPERTSTATUS          Status;
    EXPERTSTARTUPINFO     Startup;
    EXPERTFRAMEDESCRIPTOR FrameDescriptor;
    DWORD                 CurrentFrameNumber = INVALID_FRAME_NUMBER;
    DWORD                 nFrames = 0;
    DWORD                 rc;

    UNREFERENCED_PARAMETER(StartupFlags);
    UNREFERENCED_PARAMETER(hWnd);
    ZeroMemory(&Status, sizeof(Status));
    Status.Status = EXPERTSTATUS_STARTING;
    lstrcpy(Status.szStatusText, "Initializing");
    rc = ExpertIndicateStatus(hExpertKey, Status.Status, Status.SubStatus, Status.szStatusText, (LONG)Status.PercentDone);
    if (rc == NMERR_EXPERT_TERMINATE)
        return TRUE;
    if (rc != NMERR_SUCCESS)
        return FALSE;
    if (ExpertGetStartupInfo(hExpertKey, &Startup) != NMERR_SUCCESS || Startup.hCapture != pStartupInfo->hCapture ||
        lstrcmp(Startup.szCaptureFile, pStartupInfo->szCaptureFile) != 0)
        return FALSE;
    while ((rc = ExpertGetFrame(hExpertKey, GET_FRAME_NEXT_FORWARD, FLAGS_DEFER_TO_UI_FILTER, CurrentFrameNumber, NULL,
                                &FrameDescriptor)) == NMERR_SUCCESS)
    {
        CurrentFrameNumber = FrameDescriptor.FrameNumber;
        if (FrameDescriptor.pFrame->FrameLength >= pConfig->MinimumLength)
            nFrames++;
        if (CurrentFrameNumber % 1000 == 0)
            ExpertIndicateStatus(hExpertKey, EXPERTSTATUS_RUNNING, 0, "", (LONG)(CurrentFrameNumber / 1000));
    }
    if (rc == NMERR_EXPERT_TERMINATE)
        return FALSE;
    rc = SubmitSummary(hExpertKey, pConfig, nFrames, CurrentFrameNumber);
    ExpertIndicateStatus(hExpertKey, EXPERTSTATUS_DONE, 3, "All\nframes", 100);
    if (ExpertIndicateStatus(hExpertKey, (EXPERTSTATUSENUMERATION)77, 0, NULL, 0) != NMERR_INVALID_PARAMETER)
        return FALSE;
    return rc == NMERR_SUCCESS;
}
