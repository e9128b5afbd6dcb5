// clang-format off
//
//  SDKTRACK.CPP - in the manner of the SDK's experts in C++: a class that keeps its memory in the expert's key, and looks back.
//
#include <windows.h>
#include <netmon.h>

HINSTANCE g_hInstance;

class LONGEST
{
public:
    LONGEST(HEXPERTKEY hExpertKey) : m_hExpertKey(hExpertKey), m_pNumbers(NULL), m_nNumbers(0), m_nRoom(0)
    {
    }

    ~LONGEST()
    {
        ExpertFreeMemory(m_hExpertKey, m_pNumbers);
    }

    VOID Add(DWORD Number)
    {
        DWORD rc = NMERR_SUCCESS;
        if (m_nNumbers == m_nRoom)
        {
            m_nRoom = m_nRoom ? m_nRoom * 2 : 16;
            LPVOID pGrown = ExpertReallocMemory(m_hExpertKey, m_pNumbers, m_nRoom * sizeof(DWORD), &rc);
            if (pGrown == NULL)
                throw rc;
            m_pNumbers = (LPDWORD)pGrown;
        }
        m_pNumbers[m_nNumbers++] = Number;
    }

    DWORD Count() const
    {
        return m_nNumbers;
    }

    DWORD operator[](DWORD n) const
    {
        return m_pNumbers[n];
    }

private:
    HEXPERTKEY m_hExpertKey;
    LPDWORD    m_pNumbers;
    DWORD      m_nNumbers;
    DWORD      m_nRoom;
};

extern "C" __declspec(dllexport) BOOL WINAPI DllMain(HINSTANCE hInstance, ULONG ulReason, LPVOID)
{
    if (ulReason == DLL_PROCESS_ATTACH)
        g_hInstance = hInstance;
    return TRUE;
}

extern "C" __declspec(dllexport) BOOL WINAPI Register(PEXPERTENUMINFO lpExpertInfo)
{
    lpExpertInfo->Flags = EXPERT_ENUM_FLAG_NO_VIEWER | EXPERT_ENUM_FLAG_ADD_ME_TO_RMC_IN_SUMMARY;
    lstrcpy(lpExpertInfo->szName, "SDK tracker");
    return TRUE;
}

static BOOL Report(HEXPERTKEY hExpertKey, DWORD nFrames, DWORDLONG nBytes)
{
    DWORD rc = NMERR_SUCCESS;
    PNMEVENTDATA pEvent = (PNMEVENTDATA)ExpertAllocMemory(hExpertKey, sizeof(NMEVENTDATA) + 2 * sizeof(NMCOLUMNINFO), &rc);
    if (pEvent == NULL)
        return FALSE;
    ZeroMemory(pEvent, sizeof(NMEVENTDATA));
    pEvent->szEventName = (LPSTR) "tracked";
    pEvent->NumColumns = 2;
    pEvent->Column[0].szColumnName = (LPSTR) "frames";
    pEvent->Column[0].VariantData.Type = NMCOLUMNTYPE_UINT32;
    pEvent->Column[0].VariantData.Value.Uint32Val = nFrames;
    pEvent->Column[1].szColumnName = (LPSTR) "bytes";
    pEvent->Column[1].VariantData.Type = NMCOLUMNTYPE_FLOAT64;
    pEvent->Column[1].VariantData.Value.Float64Val = (DOUBLE)nBytes;
    rc = ExpertSubmitEvent(hExpertKey, pEvent);
    ExpertFreeMemory(hExpertKey, pEvent);
    return rc == NMERR_SUCCESS;
}

extern "C" __declspec(dllexport) BOOL WINAPI Run(HEXPERTKEY hExpertKey, PEXPERTCONFIG, PEXPERTSTARTUPINFO, DWORD, HWND)
{
    EXPERTFRAMEDESCRIPTOR Frame;
    DWORD rc;
    DWORDLONG nBytes = 0;

    try
    {
        LONGEST Longest(hExpertKey);
        ZeroMemory(&Frame, sizeof(Frame));
        rc = ExpertGetFrame(hExpertKey, GET_FRAME_NEXT_FORWARD, 0, (DWORD)-1, NULL, &Frame);
        while (rc == NMERR_SUCCESS)
        {
            if (Frame.pFrame->FrameLength > 1000)
                Longest.Add(Frame.FrameNumber);
            rc = ExpertGetFrame(hExpertKey, GET_FRAME_NEXT_FORWARD, 0, Frame.FrameNumber, NULL, &Frame);
        }
        if (rc == NMERR_EXPERT_TERMINATE)
            return FALSE;
        for (DWORD n = Longest.Count(); n > 0; n--)
        {
            rc = ExpertGetFrame(hExpertKey, GET_SPECIFIED_FRAME, FLAGS_ATTACH_PROPERTIES, Longest[n - 1], NULL, &Frame);
            if (rc != NMERR_SUCCESS || Frame.FrameNumber != Longest[n - 1] || Frame.lpPropertyTable == NULL)
                return FALSE;
            nBytes += Frame.pFrame->FrameLength;
        }
        return Report(hExpertKey, Longest.Count(), nBytes);
    }
    catch (DWORD)
    {
        return FALSE;
    }
}
