/**
 * Reads text in pieces: UTF-8, or UTF-16 where a mark at its start says so, as in what PowerShell 5 writes into a file.
 * The mark is no part of the text; bytes that are none become U+FFFD.
 */
export function markedText(): { add(bytes: Uint8Array): string; end(): string } {
  let start: Uint8Array = new Uint8Array(0);
  let decoder: InstanceType<typeof TextDecoder> | null = null;
  return {
    add(bytes) {
      if (decoder !== null) return decoder.decode(bytes, { stream: true });
      const both = new Uint8Array(start.length + bytes.length);
      both.set(start);
      both.set(bytes, start.length);
      start = both;
      if (start.length < 2) return "";
      decoder = new TextDecoder(start[0] === 0xff && start[1] === 0xfe ? "utf-16le" : "utf-8");
      return decoder.decode(start, { stream: true });
    },
    end: () => (decoder === null ? new TextDecoder().decode(start) : decoder.decode()),
  };
}
