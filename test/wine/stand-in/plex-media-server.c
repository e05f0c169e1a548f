/*
 * A stand-in for Plex Media Server of Windows, as its users have it: `Plex Media Server.exe`, a program without a
 * console and with a top-level window that is never shown, whose settings are a registry key and which ends by
 * WM_CLOSE. It keeps window and registry; the server itself is the stand-in in Node, a child that works on a private
 * Preferences.xml and ends with us, whatever way we end.
 *
 * `stand-in.ini` beside the executable, UTF-16, section [server]; each is read when it is needed:
 *   node, script  the program of the child
 *   work          its private folder (settings, behaviour in `standin.json`, output, `host.pid`)
 *   hive          a SID: the settings are below HKEY_USERS\SID; none: below HKEY_CURRENT_USER
 *   localAppData  instead of this account's own
 *   starts        0: is there and comes no further, until it is something else
 *   closes        0: a dialog is open, WM_CLOSE has no effect
 *   diesAtStart   an exit code: ends at once with it
 *   closeMs       how long the child may take to end; default 60 s
 */
#include <shlobj.h>
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

#include "registry-preferences.h"

#define KEY L"Software\\Plex, Inc.\\Plex Media Server"
#define LONG_PATH 4096
#define LOOK_EVERY_MS 20

static struct preferences at_start, at_end;
static WCHAR options_file[LONG_PATH], work[LONG_PATH], settings[LONG_PATH], data_folder[LONG_PATH];
static HANDLE leash;
static BOOL closing;

static const WCHAR *option(const WCHAR *name, const WCHAR *otherwise) {
  static WCHAR text[LONG_PATH];
  GetPrivateProfileStringW(L"server", name, otherwise, text, LONG_PATH, options_file);
  return text;
}

static WCHAR *joined(WCHAR *to, const WCHAR *folder, const WCHAR *name) {
  swprintf(to, LONG_PATH, L"%ls\\%ls", folder, name);
  return to;
}

/* `HKEY_USERS\SID` as a root and the path below it, or our own. */
static HKEY root_of(WCHAR *path) {
  const WCHAR *hive = option(L"hive", L"");
  if (!*hive) return wcscpy(path, KEY), HKEY_CURRENT_USER;
  return joined(path, hive, KEY), HKEY_USERS;
}

static void find_places(void) {
  WCHAR own[LONG_PATH], parent[LONG_PATH], folder[LONG_PATH], *known = NULL;
  GetModuleFileNameW(NULL, own, LONG_PATH);
  *wcsrchr(own, L'\\') = 0;
  joined(options_file, own, L"stand-in.ini");
  wcscpy(work, option(L"work", own));
  joined(folder, work, L"Plex Media Server");
  SHCreateDirectoryExW(NULL, folder, NULL);
  joined(settings, folder, L"Preferences.xml");

  WCHAR path[LONG_PATH];
  HKEY root = root_of(path);
  if (!read_registry(root, path, &at_start)) ExitProcess(3);
  if (SUCCEEDED(SHGetKnownFolderPath(&FOLDERID_LocalAppData, 0, NULL, &known))) wcscpy(parent, known);
  wcscpy(parent, option(L"localAppData", parent));
  const WCHAR *moved = text_of(&at_start, L"LocalAppDataPath");
  joined(data_folder, *moved ? moved : parent, L"Plex Media Server");
  SHCreateDirectoryExW(NULL, data_folder, NULL);
}

/* A second one of the same account shows an error and ends; this one has nobody to show it to. */
static BOOL is_first(void) {
  WCHAR name[LONG_PATH] = L"Global\\Plex Media Server stand-in ";
  wcscat(name, option(L"hive", L""));
  return CreateMutexW(NULL, TRUE, name) && GetLastError() != ERROR_ALREADY_EXISTS;
}

/* For who has to tell several servers of one machine apart. */
static void leave_pid(void) {
  WCHAR path[LONG_PATH];
  FILE *file = _wfopen(joined(path, work, L"host.pid"), L"w");
  if (file) fprintf(file, "%lu", GetCurrentProcessId()), fclose(file);
}

static HANDLE inherited(const WCHAR *name) {
  WCHAR path[LONG_PATH];
  SECURITY_ATTRIBUTES inherit = {sizeof inherit, NULL, TRUE};
  return CreateFileW(joined(path, work, name), GENERIC_WRITE, FILE_SHARE_READ, &inherit, CREATE_ALWAYS, 0, NULL);
}

/* Ended by the system together with us, whatever way we end. */
static void tie_to_us(HANDLE process) {
  HANDLE job = CreateJobObjectW(NULL, NULL);
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
  limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
  SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
  AssignProcessToJobObject(job, process);
}

/* Its standard input is a leash: it ends politely when that ends. */
static HANDLE start_child(void) {
  WCHAR line[2 * LONG_PATH] = L"\"";
  wcscat(line, option(L"node", L""));
  wcscat(line, L"\" \"");
  wcscat(line, option(L"script", L""));
  wcscat(line, L"\"");
  SetEnvironmentVariableW(L"PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR", work);
  SetEnvironmentVariableW(L"STANDIN_DATA_FOLDER", data_folder);

  HANDLE input;
  CreatePipe(&input, &leash, NULL, 0);
  SetHandleInformation(input, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
  STARTUPINFOW how = {.cb = sizeof how, .dwFlags = STARTF_USESTDHANDLES, .hStdInput = input};
  how.hStdOutput = inherited(L"output.txt");
  how.hStdError = inherited(L"errors.txt");
  PROCESS_INFORMATION child;
  if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, CREATE_SUSPENDED | CREATE_NO_WINDOW, NULL, work, &how, &child))
    ExitProcess(4);
  tie_to_us(child.hProcess);
  ResumeThread(child.hThread);
  CloseHandle(input);
  CloseHandle(how.hStdOutput);
  CloseHandle(how.hStdError);
  return child.hProcess;
}

static LRESULT CALLBACK answer(HWND window, UINT message, WPARAM a, LPARAM b) {
  if (message != WM_CLOSE) return DefWindowProcW(window, message, a, b);
  if (closing || GetPrivateProfileIntW(L"server", L"closes", 1, options_file) == 0) return 0;
  closing = TRUE;
  CloseHandle(leash);
  return 0;
}

static BOOL open_window(HINSTANCE instance) {
  WNDCLASSW class = {.lpfnWndProc = answer, .hInstance = instance, .lpszClassName = L"PlexMediaServerStandIn"};
  RegisterClassW(&class);
  return CreateWindowW(class.lpszClassName, L"Plex Media Server", WS_OVERLAPPEDWINDOW, 0, 0, 100, 100, NULL, NULL,
                       instance, NULL) != NULL;
}

/* Answers messages until the child has ended; FALSE: it did not, in its time after a WM_CLOSE. */
static BOOL outlive(HANDLE child) {
  ULONGLONG since = 0;
  for (;;) {
    DWORD patience = INFINITE;
    if (closing) {
      DWORD most = GetPrivateProfileIntW(L"server", L"closeMs", 60000, options_file);
      if (since == 0) since = GetTickCount64();
      ULONGLONG spent = GetTickCount64() - since;
      if (spent >= most) return FALSE;
      patience = (DWORD)(most - spent);
    }
    if (MsgWaitForMultipleObjects(1, &child, FALSE, patience, QS_ALLINPUT) == WAIT_OBJECT_0) return TRUE;
    for (MSG message; PeekMessageW(&message, NULL, 0, 0, PM_REMOVE);) DispatchMessageW(&message);
  }
}

int WINAPI wWinMain(HINSTANCE instance, HINSTANCE none, LPWSTR line, int show) {
  (void)none, (void)line, (void)show;
  find_places();
  int code = (int)GetPrivateProfileIntW(L"server", L"diesAtStart", 0, options_file);
  if (code != 0) return code;
  if (!is_first()) return 1;
  leave_pid();
  while (GetPrivateProfileIntW(L"server", L"starts", 1, options_file) == 0) Sleep(LOOK_EVERY_MS);
  if (!write_xml(settings, &at_start)) return 5;
  HANDLE child = start_child();
  if (!open_window(instance)) return 6;
  if (!outlive(child)) return 7;
  DWORD ended;
  GetExitCodeProcess(child, &ended);
  if (!closing) return ended == 0 ? 8 : (int)ended;
  WCHAR path[LONG_PATH];
  HKEY root = root_of(path);
  return read_xml(settings, &at_end) && write_registry(root, path, &at_start, &at_end) ? 0 : 9;
}
