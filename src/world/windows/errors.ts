import { SystemError } from "../world.ts";

/** Numbers of Windows (`winerror.h`) that some code of ours asks for by name. */
export const WIN32 = {
  FILE_NOT_FOUND: 2,
  PATH_NOT_FOUND: 3,
  ACCESS_DENIED: 5,
  INVALID_HANDLE: 6,
  NO_MORE_FILES: 18,
  INVALID_PARAMETER: 87,
  INSUFFICIENT_BUFFER: 122,
  INVALID_NAME: 123,
  ALREADY_EXISTS: 183,
  MORE_DATA: 234,
  NO_MORE_ITEMS: 259,
  KEY_DELETED: 1018,
  SERVICE_ALREADY_RUNNING: 1056,
  SERVICE_DOES_NOT_EXIST: 1060,
  SERVICE_CANNOT_ACCEPT_CTRL: 1061,
  SERVICE_NOT_ACTIVE: 1062,
  NOT_ALL_ASSIGNED: 1300,
  NONE_MAPPED: 1332,
  INVALID_ACL: 1336,
  INVALID_WINDOW_HANDLE: 1400,
} as const;

/** A refusal of Windows by its number, in the words of `SystemError`; a number without one is `WIN32_<number>`. */
export function refusal(number: number, call: string, path: string): SystemError {
  return new SystemError(CODES.get(number) ?? `WIN32_${number}`, call, path);
}

const CODES: ReadonlyMap<number, string> = new Map([
  [WIN32.FILE_NOT_FOUND, "ENOENT"],
  [WIN32.PATH_NOT_FOUND, "ENOENT"],
  [WIN32.ACCESS_DENIED, "EACCES"],
  // ERROR_SHARING_VIOLATION
  [32, "EBUSY"],
  // ERROR_FILE_EXISTS
  [80, "EEXIST"],
  [WIN32.ALREADY_EXISTS, "EEXIST"],
  [WIN32.KEY_DELETED, "ESTALE"],
  [WIN32.SERVICE_DOES_NOT_EXIST, "ENOENT"],
  [WIN32.NOT_ALL_ASSIGNED, "EPERM"],
  // ERROR_PRIVILEGE_NOT_HELD
  [1314, "EPERM"],
]);
