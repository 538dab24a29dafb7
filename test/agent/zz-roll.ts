import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { get, put } from "./tftp/client.ts";
import { startServer } from "./tftp/server.ts";
await using s = await startServer();
const content = randomBytes(8 * 70_000 + 3);
await writeFile(s.readable + "/f", content);
for (const windowsize of [1, 48]) {
  let t = performance.now();
  await get(s.port, "f", { blksize: 8, windowsize }); console.log("get", windowsize, performance.now() - t); t = performance.now();
  await put(s.port, "g", content, { blksize: 8, windowsize }); console.log("put", windowsize, performance.now() - t);
}
