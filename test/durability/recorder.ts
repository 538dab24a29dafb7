/**
 * Records what this process does in a directory: after each call of node:fs that may change something, what is there,
 * and each sync with the file that it was of. Programs that it runs are seen by what they have changed.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { libc } from "../../os/libc.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { Disk } from "./power-cut.ts";
import { describeTree, fileId, readTree, writeTree, type FileId, type Tree } from "./tree.ts";

type Step =
  | { kind: "changed"; tree: Tree; by: string }
  | { kind: "synced"; id: FileId }
  | { kind: "all synced" }
  | { kind: "told"; what: string };

/** What a power cut may leave. */
export interface Remains {
  readonly tree: Tree;
  /** What had been told before. */
  readonly told: ReadonlySet<string>;
  /** For a test that fails: after which step, and what of the unsynced is there. */
  readonly description: string;
}

export interface Recording {
  readonly steps: readonly Step[];
  /** Each once that may be left at whatever step the power is cut. */
  remains(): Generator<Remains>;
}

let active: { scan(by: string): void; add(step: Step): void } | undefined;

/**
 * Records a directory while something is done.
 *
 * @param work told a promise with `tell`: from then on it must hold.
 */
export async function record(
  directory: string,
  work: (tell: (what: string) => void) => Promise<void>,
): Promise<Recording> {
  if (active) throw new Error("one recording at a time");
  const start = readTree(directory);
  const steps: Step[] = [];
  let last = describeIds(start);
  let scanning = false;
  active = {
    add: (step) => void steps.push(step),
    scan: (by) => {
      if (scanning) return;
      scanning = true;
      const tree = readTree(directory);
      scanning = false;
      const now = describeIds(tree);
      if (now !== last) steps.push({ kind: "changed", tree, by });
      last = now;
    },
  };
  const restore = await watch();
  try {
    await work((what) => {
      active!.scan("others");
      active!.add({ kind: "told", what });
    });
    active.scan("others");
  } finally {
    restore();
    active = undefined;
  }
  return { steps, remains: () => remainsOf(start, steps) };
}

/** Puts what a power cut may leave into new directories, one after the other, and has each looked at. */
export async function forEachRemains(
  recording: Recording,
  look: (path: string, told: ReadonlySet<string>) => Promise<void>,
): Promise<number> {
  let count = 0;
  for (const { tree, told, description } of recording.remains()) {
    await using place = await temporaryDirectory("croft-test-power-");
    writeTree(tree, place.path);
    try {
      await look(place.path, told);
    } catch (error) {
      throw new Error(`after a power cut ${description}: ${String(error)}`, { cause: error });
    }
    count++;
  }
  return count;
}

function* remainsOf(start: Tree, steps: readonly Step[]): Generator<Remains> {
  const disk = new Disk(start);
  const seen = new Set<string>();
  const told = new Set<string>();
  for (const [at, step] of [undefined, ...steps].entries()) {
    if (step?.kind === "changed") disk.changed(step.tree);
    else if (step?.kind === "synced") disk.synced(step.id);
    else if (step?.kind === "all synced") disk.allSynced();
    else if (step?.kind === "told") told.add(step.what);
    for (const { tree, what } of disk.remains()) {
      const key = `${[...told].join()} ${describeTree(tree)}`;
      if (seen.has(key)) continue;
      seen.add(key);
      const by = step === undefined ? "before all" : step.kind === "changed" ? step.by : step.kind;
      yield { tree, told: new Set(told), description: `at step ${at} (${by}), ${what}` };
    }
  }
}

/** What tells one state from another, files by their identity. */
function describeIds({ entries, contents, links }: Tree): string {
  const directories = [...entries].map(([id, inside]) => `${id}{${[...inside].join(";")}}`);
  const files = [...contents].map(([id, content]) => `${id}=${content.toString("latin1")}`);
  return [...directories, ...files, ...links].join("\n");
}

type Patched = Record<string, unknown>;
type Call = (this: unknown, ...parameters: unknown[]) => unknown;

const changing = [
  ...["open", "writeFile", "appendFile", "rename", "unlink", "rm", "rmdir", "mkdir", "link", "symlink"],
  ...["truncate", "copyFile", "cp", "mkdtemp", "write", "writev", "ftruncate", "close"],
];
const handleChanging = ["write", "writev", "writeFile", "appendFile", "truncate", "close"];
const syncing = ["fsync", "fdatasync"];

/** Has all calls that change or sync something reported, until the result is called. */
async function watch(): Promise<() => void> {
  const handle = await fs.promises.open("/dev/null");
  const handles = Object.getPrototypeOf(handle) as Patched;
  await handle.close();
  const undo: (() => void)[] = [];
  const patch = (object: Patched, name: string, make: (original: Call) => Call) => {
    const original = object[name];
    if (typeof original !== "function") return;
    object[name] = make(original as Call);
    undo.push(() => (object[name] = original));
  };
  const callbacks = fs as unknown as Patched;
  const promises = fs.promises as unknown as Patched;
  for (const name of changing) {
    patch(callbacks, name, (original) => afterCallback(original, () => active?.scan(name)));
    patch(callbacks, `${name}Sync`, (original) => afterReturn(original, () => active?.scan(name)));
    patch(promises, name, (original) => afterPromise(original, () => active?.scan(name)));
  }
  for (const name of syncing) {
    patch(callbacks, name, (original) => afterCallback(original, ([fd]) => synced(fd as number)));
    patch(callbacks, `${name}Sync`, (original) => afterReturn(original, ([fd]) => synced(fd as number)));
  }
  for (const name of handleChanging)
    patch(handles, name, (original) => afterPromise(original, () => active?.scan(name)));
  for (const name of ["sync", "datasync"])
    patch(handles, name, (original) => afterPromise(original, (_, { fd }) => synced(fd)));
  syncBuiltinESMExports();
  return () => {
    for (const each of undo) each();
    syncBuiltinESMExports();
  };
}

/** syncfs(2) is looked up each time; what the library gives for it tells of the sync. */
const func = libc.func.bind(libc) as (declaration: string) => ReturnType<typeof libc.func>;
Object.defineProperty(libc, "func", {
  value: (declaration: string) => {
    const found = func(declaration);
    if (!/\bsyncfs\b/.test(declaration)) return found;
    const report = () => {
      active?.scan("others");
      active?.add({ kind: "all synced" });
    };
    return { async: afterCallback(found.async as Call, report) };
  },
});

function synced(fd: number): void {
  active?.scan("others");
  active?.add({ kind: "synced", id: fileId(fs.fstatSync(fd, { bigint: true })) });
}

type Report = (parameters: readonly unknown[], target: { fd: number }) => void;

function afterReturn(original: Call, report: Report): Call {
  return function (...parameters) {
    const result = original.apply(this, parameters);
    report(parameters, this as never);
    return result;
  };
}

function afterPromise(original: Call, report: Report): Call {
  return async function (...parameters) {
    const result = await original.apply(this, parameters);
    report(parameters, this as never);
    return result;
  };
}

function afterCallback(original: Call, report: Report): Call {
  return function (...parameters) {
    const callback = parameters.at(-1);
    if (typeof callback !== "function") return original.apply(this, parameters);
    const reporting = (...results: unknown[]) => {
      if (!results[0]) report(parameters, this as never);
      return (callback as Call)(...results);
    };
    return original.apply(this, [...parameters.slice(0, -1), reporting]);
  };
}
