/**
 * Takes a lock as fast as it can, and removes its file half of the times while it holds it: `node lock-remover.ts <file>
 * <times>`. As only holders remove it, a lock is always on a file that has its name; prints how often it was not.
 */
import { fstatSync, unlinkSync } from "node:fs";
import { tryLockFile } from "../../../os/files/flock.ts";

const [path, times] = process.argv.slice(2) as [string, string];
let split = 0;
for (let count = 0; count < Number(times);) {
  using lock = tryLockFile(path);
  if (!lock) continue;
  count++;
  if (fstatSync(lock.fd).nlink === 0) split++;
  else if (count % 2 === 0) unlinkSync(path);
}
process.stdout.write(`${split}\n`);
