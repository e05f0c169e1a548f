#include "registry-preferences.h"

#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#define LARGEST_VALUE (64 * 1024)
#define LARGEST_FILE (1024 * 1024)

static const WCHAR *const SIGN_IN[] = {L"PlexOnlineToken", L"PlexOnlineUsername", L"PlexOnlineMail",
                                       L"PlexOnlineHome"};

static BOOL letter(WCHAR c) { return (c >= L'A' && c <= L'Z') || (c >= L'a' && c <= L'z') || c == L'_'; }

static BOOL is_name(const WCHAR *name) {
  if (!letter(*name)) return FALSE;
  for (; *name; name++)
    if (!letter(*name) && !(*name >= L'0' && *name <= L'9') && !wcschr(L".:-", *name)) return FALSE;
  return TRUE;
}

static BOOL is_text(const WCHAR *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (text[i] == 0xfffe || text[i] == 0xffff || (text[i] < 0x20 && !wcschr(L"\t\n\r", text[i])) || text[i] == 0)
      return FALSE;
  return TRUE;
}

static void add(struct preferences *all, const WCHAR *name, const WCHAR *text, size_t length, DWORD type) {
  if (all->count == MOST_VALUES || !is_name(name) || wcslen(name) >= LONGEST_NAME) return;
  struct preference *value = &all->values[all->count++];
  wcscpy(value->name, name);
  value->text = calloc(length + 1, sizeof(WCHAR));
  wmemcpy(value->text, text, length);
  value->type = type;
}

static const struct preference *find(const struct preferences *all, const WCHAR *name) {
  /* Names of the registry know no case; those of XML do, and a server writes one case alone. */
  for (int i = 0; i < all->count; i++)
    if (_wcsicmp(all->values[i].name, name) == 0) return &all->values[i];
  return NULL;
}

const WCHAR *text_of(const struct preferences *all, const WCHAR *name) {
  const struct preference *value = find(all, name);
  return value ? value->text : L"";
}

BOOL read_registry(HKEY root, const WCHAR *path, struct preferences *found) {
  HKEY key;
  found->count = 0;
  LSTATUS opened = RegOpenKeyExW(root, path, 0, KEY_READ, &key);
  if (opened != ERROR_SUCCESS) return opened == ERROR_FILE_NOT_FOUND;
  BYTE *data = malloc(LARGEST_VALUE);
  for (DWORD index = 0;; index++) {
    WCHAR name[16384];
    DWORD name_length = 16384, size = LARGEST_VALUE, type;
    LSTATUS got = RegEnumValueW(key, index, name, &name_length, NULL, &type, data, &size);
    if (got == ERROR_NO_MORE_ITEMS) break;
    if (got != ERROR_SUCCESS) continue;
    if (type == REG_DWORD && size == sizeof(DWORD)) {
      WCHAR number[16];
      int length = swprintf(number, 16, L"%lu", *(DWORD *)data);
      add(found, name, number, (size_t)length, type);
    } else if (type == REG_SZ || type == REG_EXPAND_SZ) {
      const WCHAR *text = (const WCHAR *)data;
      size_t length = size / sizeof(WCHAR);
      if (length > 0 && text[length - 1] == 0) length--;
      if (is_text(text, length)) add(found, name, text, length, type);
    }
  }
  free(data);
  RegCloseKey(key);
  return TRUE;
}

static void escaped(FILE *file, const WCHAR *text) {
  int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
  char *bytes = malloc((size_t)size);
  WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, size, NULL, NULL);
  for (const char *at = bytes; *at; at++) {
    if (strchr("&<>\"\t\n\r", *at)) fprintf(file, "&#%d;", *at);
    else fputc(*at, file);
  }
  free(bytes);
}

BOOL write_xml(const WCHAR *path, const struct preferences *found) {
  FILE *file = _wfopen(path, L"wb");
  if (!file) return FALSE;
  fputs("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Preferences", file);
  for (int i = 0; i < found->count; i++) {
    fprintf(file, " %ls=\"", found->values[i].name);
    escaped(file, found->values[i].text);
    fputc('"', file);
  }
  fputs("/>\n", file);
  return fclose(file) == 0;
}

/* Resolves, in place, the references that our stand-in server writes. */
static size_t unescaped(WCHAR *text, size_t length) {
  static const struct {
    const WCHAR *from;
    WCHAR to;
  } KNOWN[] = {{L"&amp;", L'&'}, {L"&lt;", L'<'},   {L"&gt;", L'>'},  {L"&quot;", L'"'},
               {L"&#9;", L'\t'}, {L"&#10;", L'\n'}, {L"&#13;", L'\r'}};
  size_t to = 0;
  for (size_t from = 0; from < length;) {
    WCHAR c = text[from];
    size_t step = 1;
    for (size_t i = 0; c == L'&' && i < sizeof KNOWN / sizeof *KNOWN; i++) {
      size_t size = wcslen(KNOWN[i].from);
      if (size > length - from || wcsncmp(text + from, KNOWN[i].from, size) != 0) continue;
      c = KNOWN[i].to;
      step = size;
      break;
    }
    text[to++] = c;
    from += step;
  }
  return to;
}

static WCHAR *whole_text(const WCHAR *path) {
  FILE *file = _wfopen(path, L"rb");
  if (!file) return NULL;
  char *bytes = malloc(LARGEST_FILE);
  int size = (int)fread(bytes, 1, LARGEST_FILE, file);
  fclose(file);
  WCHAR *text = calloc((size_t)size + 1, sizeof(WCHAR));
  MultiByteToWideChar(CP_UTF8, 0, bytes, size, text, size);
  free(bytes);
  return text;
}

BOOL read_xml(const WCHAR *path, struct preferences *found) {
  static const WCHAR START[] = L"<Preferences";
  found->count = 0;
  WCHAR *text = whole_text(path);
  WCHAR *at = text ? wcsstr(text, START) : NULL;
  BOOL whole = at != NULL;
  if (whole) at += wcslen(START);
  while (whole && *at == L' ') {
    WCHAR *name = at + 1;
    WCHAR *equals = wcsstr(name, L"=\"");
    WCHAR *end = equals ? wcschr(equals + 2, L'"') : NULL;
    whole = end != NULL;
    if (!whole) break;
    *equals = 0;
    add(found, name, equals + 2, unescaped(equals + 2, (size_t)(end - equals - 2)), REG_SZ);
    at = end + 1;
  }
  whole = whole && wcsncmp(at, L"/>", 2) == 0;
  free(text);
  return whole;
}

static BOOL set(HKEY key, const struct preference *value, DWORD type) {
  if (type == REG_DWORD) {
    DWORD number = wcstoul(value->text, NULL, 10);
    return RegSetValueExW(key, value->name, 0, type, (const BYTE *)&number, sizeof number) == ERROR_SUCCESS;
  }
  DWORD size = (DWORD)((wcslen(value->text) + 1) * sizeof(WCHAR));
  return RegSetValueExW(key, value->name, 0, type, (const BYTE *)value->text, size) == ERROR_SUCCESS;
}

BOOL write_registry(HKEY root, const WCHAR *path, const struct preferences *at_start,
                    const struct preferences *at_end) {
  HKEY key;
  BOOL good = TRUE;
  if (RegCreateKeyExW(root, path, 0, NULL, 0, KEY_READ | KEY_WRITE, NULL, &key, NULL) != ERROR_SUCCESS) return FALSE;
  for (int i = 0; i < at_end->count; i++) {
    const struct preference *value = &at_end->values[i];
    const struct preference *before = find(at_start, value->name);
    DWORD type = before ? before->type : wcscmp(value->name, L"PlexOnlineHome") == 0 ? REG_DWORD : REG_SZ;
    if (type == REG_DWORD && wcsspn(value->text, L"0123456789") != wcslen(value->text)) type = REG_SZ;
    good = set(key, value, type) && good;
  }
  for (int i = 0; i < at_start->count; i++)
    if (!find(at_end, at_start->values[i].name)) RegDeleteValueW(key, at_start->values[i].name);
  for (size_t i = 0; i < sizeof SIGN_IN / sizeof *SIGN_IN; i++) {
    DWORD type = REG_NONE;
    RegQueryValueExW(key, SIGN_IN[i], NULL, &type, NULL, NULL);
    if (!find(at_end, SIGN_IN[i]) && (type == REG_SZ || type == REG_EXPAND_SZ || type == REG_DWORD))
      RegDeleteValueW(key, SIGN_IN[i]);
  }
  RegCloseKey(key);
  return good;
}
