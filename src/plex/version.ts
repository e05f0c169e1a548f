/**
 * Whether a server's version (`1.43.3.10896-cb3ebc72d`) is another one or newer, by its numbers; false for what does
 * not begin with numbers.
 */
export function atLeast(version: string, wanted: string): boolean {
  const numbers = /^\d+(?:\.\d+)*/.exec(version)?.[0].split(".").map(Number);
  if (numbers === undefined) return false;
  for (const [index, part] of wanted.split(".").map(Number).entries()) {
    const own = numbers[index] ?? 0;
    if (own !== part) return own > part;
  }
  return true;
}
