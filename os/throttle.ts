import type { Readable } from "node:stream";

/**
 * Passes a stream's bytes on, at most so many a second on average: then the stream is paused, its writer blocks,
 * and this process stays free for others. Once the stream's writer is gone, the little that is buffered passes.
 */
export function throttle(stream: Readable, bytesPerSecond: number, onChunk: (chunk: Buffer) => void): void {
  let credit = bytesPerSecond;
  let since = performance.now();
  let timer: NodeJS.Timeout | undefined;
  stream.on("data", (chunk: Buffer) => {
    const now = performance.now();
    credit = Math.min(bytesPerSecond, credit + ((now - since) / 1000) * bytesPerSecond);
    since = now;
    credit -= chunk.length;
    onChunk(chunk);
    if (credit >= 0) return;
    stream.pause();
    timer = setTimeout(() => stream.resume(), (-credit / bytesPerSecond) * 1000);
  });
  stream.on("close", () => clearTimeout(timer));
}
