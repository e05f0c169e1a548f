#ifndef REGISTRY_PREFERENCES_H
#define REGISTRY_PREFERENCES_H

#include <windows.h>

/*
 * What a server of Windows has in memory: the values of its registry key that a Preferences.xml can hold (texts and
 * 32-bit numbers). Values of other types, or with a name or a text that is none of XML, are left alone for ever.
 */

#define MOST_VALUES 512
#define LONGEST_NAME 256

struct preference {
  WCHAR name[LONGEST_NAME];
  WCHAR *text;
  DWORD type;
};

struct preferences {
  int count;
  struct preference values[MOST_VALUES];
};

/* Reads a key; a key that is not there has no values. FALSE: it cannot be read. */
BOOL read_registry(HKEY root, const WCHAR *path, struct preferences *found);

/* Writes the file from which a server of Linux starts. */
BOOL write_xml(const WCHAR *path, const struct preferences *found);

/* Reads what such a server has written at its exit. FALSE: it is no such file. */
BOOL read_xml(const WCHAR *path, struct preferences *found);

/*
 * Writes back what is in memory at the end, value by value, as a server does that rewrites all its settings at each
 * exit: what anybody else did to the four sign-in values meanwhile is lost. A value keeps the type it had at the
 * start; a new one is a text, and `PlexOnlineHome` a number.
 */
BOOL write_registry(HKEY root, const WCHAR *path, const struct preferences *at_start, const struct preferences *at_end);

const WCHAR *text_of(const struct preferences *all, const WCHAR *name);

#endif
