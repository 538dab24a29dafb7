/** Takes secrets out of bytes that come in pieces. */

const star = 0x2a;

/**
 * Replaces each byte of a secret by `*`, in place: who sends a log counts its bytes. A secret is found also where ends of lines,
 * carriage returns and escape sequences of terminals stand in the middle of it, as `base64` and `fold` make them.
 *
 * @returns how many bytes at the end may be the beginning of a secret, whose rest comes with the next piece.
 */
export function maskSecrets(bytes: Buffer, secrets: readonly string[]): number {
  if (secrets.length === 0) return 0;
  const open = maskPlain(bytes, secrets);
  const { text, places } = withoutBreaks(bytes);
  if (text.length === bytes.length) return open;
  const before = Buffer.from(text);
  const openText = maskPlain(text, secrets);
  for (const [index, place] of places.entries()) if (text[index] !== before[index]) bytes[place] = star;
  // What was the beginning of an escape sequence may be the middle of a secret with the next piece.
  const openPlace = openText === 0 ? bytes.length : places[places.length - openText]!;
  return Math.max(open, bytes.length - openPlace);
}

/** As {@link maskSecrets}, of bytes that nothing comes after: neither is the beginning of a secret at their end left. */
export function maskWhole(bytes: Buffer, secrets: readonly string[]): void {
  maskBeginning(bytes, maskSecrets(bytes, secrets));
}

/** So many bytes at the end of a log may be the beginning of a secret without telling much of it: logs end with words, too. */
const untelling = 3;

/** Masks what {@link maskSecrets} found at the end, when nothing comes after it. */
export function maskBeginning(bytes: Buffer, open: number): void {
  const { text, places } = withoutBreaks(bytes.subarray(bytes.length - open));
  if (text.length <= untelling) return;
  for (const place of places) bytes[bytes.length - open + place] = star;
}

/** A text without its secrets. */
export function maskedText(text: string, secrets: readonly string[]): string {
  if (secrets.length === 0) return text;
  const bytes = Buffer.from(text);
  maskWhole(bytes, secrets);
  return bytes.toString();
}

function maskPlain(bytes: Buffer, secrets: readonly string[]): number {
  let open = 0;
  for (const text of secrets) {
    const secret = Buffer.from(text);
    for (let at = bytes.indexOf(secret); at >= 0; at = bytes.indexOf(secret, at + secret.length))
      bytes.fill(star, at, at + secret.length);
    open = Math.max(open, openEnd(bytes, secret));
  }
  return open;
}

/** How many bytes at the end are the beginning of a secret. */
function openEnd(bytes: Buffer, secret: Buffer): number {
  const first = secret[0]!;
  let at = bytes.indexOf(first, Math.max(0, bytes.length - secret.length + 1));
  while (at >= 0) {
    const length = bytes.length - at;
    if (bytes.compare(secret, 0, length, at) === 0) return length;
    at = bytes.indexOf(first, at + 1);
  }
  return 0;
}

const [lineFeed, carriageReturn, escape] = [0x0a, 0x0d, 0x1b];

/** The bytes without what breaks words apart, and where each stood. */
function withoutBreaks(bytes: Buffer): { text: Buffer; places: Uint32Array } {
  const text = Buffer.allocUnsafe(bytes.length);
  const places = new Uint32Array(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === lineFeed || byte === carriageReturn) continue;
    if (byte === escape && bytes[at + 1] === 0x5b) {
      at = endOfSequence(bytes, at + 2);
      continue;
    }
    places[length] = at;
    text[length++] = byte;
  }
  return { text: text.subarray(0, length), places: places.subarray(0, length) };
}

/** Where the final byte of a control sequence stands (ECMA-48, 5.4). */
function endOfSequence(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length && bytes[at]! >= 0x20 && bytes[at]! < 0x40) at++;
  return at;
}
