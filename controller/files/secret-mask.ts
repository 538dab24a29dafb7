/** Takes secrets out of bytes that come in pieces. */

const star = 0x2a;

/**
 * Replaces each byte of a secret by `*`, in place: who sends a log counts its bytes.
 *
 * @returns how many bytes at the end may be the beginning of a secret, whose rest comes with the next piece.
 */
export function maskSecrets(bytes: Buffer, secrets: readonly string[]): number {
  let open = 0;
  for (const text of secrets) {
    const secret = Buffer.from(text);
    for (let at = bytes.indexOf(secret); at >= 0; at = bytes.indexOf(secret, at + secret.length))
      bytes.fill(star, at, at + secret.length);
    for (let length = Math.min(secret.length - 1, bytes.length); length > open; length--)
      if (bytes.subarray(-length).equals(secret.subarray(0, length))) open = length;
  }
  return open;
}
