/** From what workers send to what is kept. */
import type { BuildResult } from "../../worker/protocol.ts";
import type { PartialObserver } from "../dispatch/observers.ts";
import type { Host } from "../hosts/hosts.ts";
import type { Matrix } from "../matrix/matrix.ts";
import type { CellMemory } from "./cell-memory.ts";
import type { IncomingOutputs, KeptOutput } from "./incoming-outputs.ts";
import { portableSizes } from "./sizes.ts";
import type { ResultStore, StoredResult } from "./store.ts";

/** What results have, or are needed for, besides the store. */
interface StoringOptions {
  /** Of the current source, if that is what is built. */
  currentTree?: string;
  /** For the summary. */
  memory?: CellMemory;
  /** Files that come before their results. */
  incoming?: IncomingOutputs;
}

/** Writes results to the store. */
export function storing(
  store: ResultStore,
  matrix: Matrix,
  { currentTree, memory, incoming }: StoringOptions = {},
): PartialObserver {
  const source = currentTree === undefined ? {} : { source: currentTree };
  return {
    output: (host, piece) => incoming?.add(host.name, piece),
    lost: (host) => incoming?.forget(host.name),
    result: (host, target, commit, result) => {
      const outputs = incoming?.take(host.name, result) ?? [];
      const stored = { ...storedResult(host, result, outputs), ...source };
      store.write(matrix.targetAt(target), commit, stored);
      memory?.note(target, commit, stored);
    },
  };
}

function storedResult(host: Host, result: BuildResult, outputs: readonly KeptOutput[]): StoredResult {
  const { return_code, stderr, stdout, sizes, config } = result;
  return {
    returnCode: return_code,
    stderr,
    stdout,
    host: host.name,
    ...(return_code === 0 && sizes ? { sizes: portableSizes(sizes.raw, config) } : {}),
    ...(config ? { config } : {}),
    ...(outputs.length > 0 ? { outputs } : {}),
  };
}
