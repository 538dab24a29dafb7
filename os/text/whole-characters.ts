/** A character of UTF-8 has at most so many bytes. */
const longestBytes = 4;

/** The bytes without what is left of a character that was cut off before them. */
export function fromWholeCharacter(bytes: Uint8Array): Uint8Array {
  const first = bytes.subarray(0, longestBytes).findIndex((byte) => !continues(byte));
  return first === -1 ? bytes : bytes.subarray(first);
}

/** The bytes without the beginning of a character whose end was cut off after them. */
export function toWholeCharacter(bytes: Uint8Array): Uint8Array {
  for (let missing = 1; missing < longestBytes && missing <= bytes.length; missing++) {
    const byte = bytes[bytes.length - missing]!;
    if (continues(byte)) continue;
    return bytesOfCharacter(byte) > missing ? bytes.subarray(0, -missing) : bytes;
  }
  return bytes;
}

function continues(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

function bytesOfCharacter(first: number): number {
  if (first < 0xc0) return 1;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}
