/** Runs the guest's worker outside a machine: own root file system, own namespaces, a real TFTP server. */
import { chmod, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { decompressFrames } from "../../agent/results/lz4.ts";
import { extractArtifacts } from "../../agent/results/artifacts.ts";
import { anyone } from "../../agent/tftp/requesters.ts";
import { TftpServer } from "../../agent/tftp/server.ts";
import { makeLog } from "../../os/log.ts";
import { guestWorker } from "../../os/files/guest-worker.ts";
import { packageRoot } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { parseBootstrap, type Bootstrap } from "../../manifests/bootstrap.ts";
import { parseResult, type Result } from "../../manifests/result.ts";
import { staticBusybox } from "../setup/busybox.js";

/** `busybox`: nothing but it; else this host's programs with that shell as `/bin/sh`. */
export type Shell = "dash" | "bash" | "busybox";
export const shells: readonly Shell[] = ["busybox", "dash", "bash"];

/** In the long part `shells` everything is tried under each of them. */
export const underEach = process.env["CROFT_EVERY_SHELL"] !== undefined;

/** The shells that a behaviour is tried under. */
export function shellsOf(...few: readonly Shell[]): readonly Shell[] {
  return underEach ? shells : few;
}

export interface GuestOptions {
  shell: Shell;
  /** Values of the task manifest besides those that a task must have; or its whole text. */
  task: Record<string, string> | string;
  /** Script `bootstrap` of the toolchain. */
  bootstrap?: string;
  /** Files of the machine by absolute path; executable. */
  files?: Record<string, string>;
  /** Shell commands run in the machine before anything else. */
  setup?: string;
  diskMiB?: number;
  uploadMaxBytes?: number;
  /** What is got once. */
  secrets?: Uint8Array;
}

export interface GuestRun {
  bootstrap: Bootstrap;
  result: Result;
  /** The result manifest as sent, decompressed. */
  manifest: Buffer;
  /** Names of what was uploaded. */
  uploaded: string[];
  /** Content of artifacts by `<type>/<name>`. */
  artifacts: Map<string, Buffer>;
  /** How many processes the task started. */
  processes: number;
  /** What came over the console, which is the live log of a machine without a log port. */
  console: string;
}

/** Bootstraps a throw-away machine and has it perform a task. */
export async function runGuest(options: GuestOptions): Promise<GuestRun> {
  await using directory = await temporaryDirectory("croft-test-guest-");
  const at = (...names: string[]) => join(directory.path, ...names);
  for (const name of ["files", "readable", "writable"]) await mkdir(at(name));
  await writeFile(at("files", "worker"), await guestWorker(), { mode: 0o755 });
  for (const [path, text] of Object.entries(options.files ?? {})) {
    await mkdir(dirname(at("files", path)), { recursive: true });
    await writeFile(at("files", path), text);
    await chmod(at("files", path), 0o755);
  }
  await writeFile(at("setup"), options.setup ?? "");
  await writeFile(at("readable", "task.manifest"), taskText(options.task));
  if (options.bootstrap !== undefined) await writeFile(at("readable", "bootstrap"), options.bootstrap);
  await using tftp = await TftpServer.start({
    address: "127.0.0.1",
    port: 0,
    readable: at("readable"),
    writable: at("writable"),
    requesters: anyone,
    uploadMaxBytes: options.uploadMaxBytes ?? 256 * 1024 * 1024,
    log: makeLog({ verbosity: 0 }),
  });
  if (options.secrets) tftp.offerOnce("secrets", options.secrets);
  const { stdout, stderr } = await run(
    [
      ...[
        "setpriv",
        "--pdeathsig",
        "KILL",
        "--",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
      ],
      ...[
        join(import.meta.dirname, "guest.sh"),
        options.shell,
        directory.path,
        String(options.diskMiB ?? 64),
        busybox(),
      ],
    ],
    { timeoutSeconds: 300, env: { ...process.env, CROFT_TFTP: `127.0.0.1:${tftp.port}` } },
  );
  const manifest = await decompressFrames(await readFile(at("writable", "result.manifest.lz4")), 64 << 20);
  const uploaded = (await readdir(at("writable"))).sort();
  const artifacts = new Map<string, Buffer>();
  if (uploaded.includes("upload.tar")) {
    await extractArtifacts(at("writable", "upload.tar"), at("artifacts"), 256 << 20);
    for (const entry of await readdir(at("artifacts"), { recursive: true, withFileTypes: true }))
      if (entry.isFile()) {
        const path = join(entry.parentPath, entry.name);
        artifacts.set(path.slice(at("artifacts").length + 1), await readFile(path));
      }
  }
  return {
    bootstrap: parseBootstrap(await readFile(at("writable", "bootstrap.manifest"))),
    result: parseResult(manifest),
    manifest,
    uploaded,
    artifacts,
    processes: Number(await readFile(at("processes"), "utf8")),
    console: stdout + stderr,
  };
}

function busybox(): string {
  const path = staticBusybox(packageRoot);
  if (path === undefined) throw new Error("no static busybox: 'node test/setup/prepare.js test' brings it");
  return path;
}

function taskText(task: Record<string, string> | string): string {
  if (typeof task === "string") return task;
  const values = { name: "hello", version: "0", machine: "m", target: "x86_64-linux-gnu", ...task };
  return [": 1", ...Object.entries(values).map(([name, value]) => `${name}:\n\\\n${value}\n\\`), ""].join(
    "\n",
  );
}

/** The operations of a result as `fetch success`. */
export function statuses(result: Result): string[] {
  return result.operations.map(({ name, status }) => `${name} ${status}`);
}

/** The log of an operation that must be there, without its last line: the worker's own, that tells how it ended. */
export function logOf(result: Result, name: string): string {
  const operation = result.operations.find((one) => one.name === name);
  if (!operation) throw new Error(`no operation '${name}' in: ${statuses(result).join(", ")}`);
  return operation.log.replace(/\n?==> [a-z]+: [a-z]+ \(\d+ s\)$/, "");
}
