/** Images that were unmounted, as far as the host looks at them; each is full of one byte. */
export function imageOf(version: number): Buffer {
  const image = Buffer.alloc(256 * 1024, version);
  image.writeUInt16LE(1, 1024 + 0x3a);
  return image;
}
