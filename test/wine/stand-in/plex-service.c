/*
 * A stand-in for the services that people run the server by (PmsService, NSSM): `plex-service.exe NAME` starts the
 * server, starts it again when it ends, and asks its windows to close when the service is stopped.
 *
 * `stand-in.ini` beside the executable, UTF-16, section [NAME]; each is read when it is needed:
 *   server     the executable
 *   stops      0: a stop has no effect; 2: it is taken, and never ends
 *   stopMs     how long the server may take to close before it is ended; default 60 s
 *   restartMs  how long after its end it is started again; default 200 (PmsService waits minutes)
 *   ends       1: it ends the server and stops, unasked
 */
#include <wchar.h>
#include <windows.h>

#define LONG_PATH 4096
#define LOOK_EVERY_MS 50

static WCHAR options_file[LONG_PATH];
static const WCHAR *name;
static SERVICE_STATUS status;
static SERVICE_STATUS_HANDLE manager;
static HANDLE asked_to_stop;

static DWORD number(const WCHAR *option, int otherwise) {
  return GetPrivateProfileIntW(name, option, otherwise, options_file);
}

static void report(DWORD state, DWORD wait_ms) {
  BOOL pending = state == SERVICE_START_PENDING || state == SERVICE_STOP_PENDING;
  status.dwServiceType = SERVICE_WIN32_OWN_PROCESS;
  status.dwCheckPoint = pending ? status.dwCheckPoint + 1 : 0;
  status.dwCurrentState = state;
  status.dwControlsAccepted = state == SERVICE_RUNNING ? SERVICE_ACCEPT_STOP : 0;
  status.dwWaitHint = wait_ms;
  SetServiceStatus(manager, &status);
}

static DWORD WINAPI control(DWORD code, DWORD type, LPVOID data, LPVOID context) {
  (void)type, (void)data, (void)context;
  if (code == SERVICE_CONTROL_INTERROGATE) return NO_ERROR;
  if (code != SERVICE_CONTROL_STOP) return ERROR_CALL_NOT_IMPLEMENTED;
  DWORD way = number(L"stops", 1);
  if (way == 0) return NO_ERROR;
  report(SERVICE_STOP_PENDING, 4 * LOOK_EVERY_MS);
  if (way == 1) SetEvent(asked_to_stop);
  return NO_ERROR;
}

static BOOL CALLBACK close_window(HWND window, LPARAM wanted) {
  DWORD pid;
  GetWindowThreadProcessId(window, &pid);
  if (pid == (DWORD)wanted) PostMessageW(window, WM_CLOSE, 0, 0);
  return TRUE;
}

static BOOL start_server(PROCESS_INFORMATION *server) {
  WCHAR path[LONG_PATH], line[LONG_PATH + 2];
  GetPrivateProfileStringW(name, L"server", L"", path, LONG_PATH, options_file);
  swprintf(line, LONG_PATH + 2, L"\"%ls\"", path);
  STARTUPINFOW how = {.cb = sizeof how};
  return CreateProcessW(path, line, NULL, NULL, FALSE, 0, NULL, NULL, &how, server);
}

/* Asks again and again: a server that is just starting has no window yet. */
static void stop_server(const PROCESS_INFORMATION *server) {
  ULONGLONG end = GetTickCount64() + (number(L"ends", 0) == 1 ? 0 : number(L"stopMs", 60000));
  do {
    EnumWindows(close_window, (LPARAM)server->dwProcessId);
    report(SERVICE_STOP_PENDING, 4 * LOOK_EVERY_MS);
    if (WaitForSingleObject(server->hProcess, LOOK_EVERY_MS) == WAIT_OBJECT_0) return;
  } while (GetTickCount64() < end);
  TerminateProcess(server->hProcess, 1);
  WaitForSingleObject(server->hProcess, LOOK_EVERY_MS);
}

/* Waits until the server has ended, the service is to stop, or the time is over; TRUE: it is to stop. */
static BOOL is_stopped_within(HANDLE server, DWORD most_ms) {
  ULONGLONG start = GetTickCount64();
  HANDLE either[] = {asked_to_stop, server};
  DWORD count = server == NULL ? 1 : 2;
  while (most_ms == INFINITE || GetTickCount64() - start < most_ms) {
    DWORD first = WaitForMultipleObjects(count, either, FALSE, LOOK_EVERY_MS);
    if (first == WAIT_OBJECT_0 || number(L"ends", 0) == 1) return TRUE;
    if (first == WAIT_OBJECT_0 + 1) return FALSE;
  }
  return FALSE;
}

static void supervise(void) {
  for (;;) {
    PROCESS_INFORMATION server;
    if (start_server(&server)) {
      BOOL stopping = is_stopped_within(server.hProcess, INFINITE);
      if (stopping) stop_server(&server);
      CloseHandle(server.hThread);
      CloseHandle(server.hProcess);
      if (stopping) return;
    }
    if (is_stopped_within(NULL, number(L"restartMs", 200))) return;
  }
}

static void WINAPI serve(DWORD count, LPWSTR *words) {
  (void)count, (void)words;
  manager = RegisterServiceCtrlHandlerExW(name, control, NULL);
  report(SERVICE_RUNNING, 0);
  supervise();
  report(SERVICE_STOPPED, 0);
}

int wmain(int count, WCHAR **words) {
  if (count != 2) return 2;
  name = words[1];
  GetModuleFileNameW(NULL, options_file, LONG_PATH);
  wcscpy(wcsrchr(options_file, L'\\') + 1, L"stand-in.ini");
  asked_to_stop = CreateEventW(NULL, TRUE, FALSE, NULL);
  SERVICE_TABLE_ENTRYW table[] = {{words[1], serve}, {NULL, NULL}};
  return StartServiceCtrlDispatcherW(table) ? 0 : 1;
}
