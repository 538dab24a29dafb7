import { Failure } from "../../os/failure.ts";
import { packageRoot } from "../../os/files/package.ts";
import { lockFile, type HeldLock } from "./lock.js";
import { modulesLock } from "./modules.js";

/**
 * Keeps node_modules as it is while this process runs from it.
 *
 * @throws {Failure} if it is being replaced at this moment.
 */
export async function useModules(root: string = packageRoot): Promise<HeldLock & Disposable> {
  const lock = await lockFile(modulesLock(root), "shared");
  if (!lock)
    throw new Failure("start", "the npm packages of this clone are being replaced", {
      hints: ["Try again in a moment."],
    });
  return { ...lock, [Symbol.dispose]: () => lock.release() };
}
