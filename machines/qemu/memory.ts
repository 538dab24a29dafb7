/**
 * Machines whose memory is in a file, to be saved and restored.
 *
 * What QEMU saves is then little: the state of the devices goes through a stream, and the memory stays where it is
 * (capability x-ignore-shared). A restored machine maps the file privately: nothing is read ahead, pages are shared with the
 * host's cache and with its siblings until they are written, and the file is not changed.
 *
 * QEMU opens the file itself, for writing even when it never writes. So a guest that had broken out of QEMU could change it;
 * a QEMU that runs as another user is given a clone that nobody else maps (machines/warm/own-memory.ts).
 */
import { constants, createWriteStream } from "node:fs";
import { once } from "node:events";
import { chmod } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { Deadline } from "../../os/deadline.ts";
import { Failure } from "../../os/failure.ts";
import type { StartOptions } from "../virtual-machine.ts";
import { escape, type InheritedFiles } from "./inherited-files.ts";
import { groupNetwork } from "./network.ts";
import type { QmpClient } from "./qmp.ts";

/** Of the devices' state; it is less than a MiB. */
const deviceMaxBytes = 64 * 1024 * 1024;
/** For each step of saving and restoring. */
const stepSeconds = 60;
const capabilities = ["x-ignore-shared", "events"].map((capability) => ({ capability, state: true }));

/** The options that make the file the memory; it is `memory-backend=ram` of the machine. */
export function memoryArguments({ memory, ramKiB }: StartOptions, files: InheritedFiles): string[] {
  if (memory === undefined) return [];
  const path = escape(files.name(memory.ram, constants.O_RDWR));
  const share = memory.mode === "save" ? "on" : "off";
  const incoming = memory.mode === "restore" ? ["-incoming", "defer"] : [];
  return [
    "-object",
    `memory-backend-file,id=ram,size=${ramKiB}k,mem-path=${path},share=${share}`,
    ...incoming,
  ];
}

/** The port `org.croft.control`; its descriptor comes after those of all files. */
export function controlArguments({ memory }: StartOptions, files: InheritedFiles): string[] {
  if (memory === undefined) return [];
  return [
    ...["-chardev", `socket,id=control,fd=${files.next}`],
    ...["-device", "virtserialport,chardev=control,name=org.croft.control"],
  ];
}

/** What the guest sees of a command line: without what only the host knows of it, and what may differ between two starts. */
export function visibleOptions(argv: readonly string[]): string[] {
  const visible: string[] = [];
  const ofHost = new Set(["-add-fd", "-name", "-object", "-qmp", "-fw_cfg", "-sandbox", "-incoming"]);
  const first = argv.findIndex((argument) => argument === "-nodefaults");
  for (let at = first; at < argv.length; at++) {
    const argument = argv[at]!;
    const isCable = argument === "-netdev" && argv[at + 1]?.startsWith(`stream,id=${groupNetwork},`);
    if (ofHost.has(argument) || isCable) at++;
    else visible.push(withoutFiles(argument));
  }
  return visible;
}

function withoutFiles(argument: string): string {
  return argument
    .replace(/,backing\..*$/, "") // what a disk is based on; it comes last
    .replace(/,format=(raw|qcow2)\b/, "")
    .replaceAll(/\/dev\/fdset\/\d+|\/proc\/self\/fd\/\d+/g, "FILE")
    .replaceAll(/\bfd=\d+/g, "fd=N");
}

/**
 * The first difference between the options that a machine was saved with and others; undefined if there is none.
 */
export function differenceOf(saved: readonly string[], now: readonly string[]): string | undefined {
  const length = Math.max(saved.length, now.length);
  for (let at = 0; at < length; at++)
    if (saved[at] !== now[at]) {
      const name = [...now.slice(0, at)].reverse().find((argument) => argument.startsWith("-")) ?? "";
      return `QEMU's option ${name} was '${saved[at] ?? ""}' and is '${now[at] ?? ""}'`;
    }
  return undefined;
}

/** How a migration of a machine goes on, from QEMU's events. */
export class Migration {
  readonly #ended = Promise.withResolvers<void>();

  constructor() {
    this.#ended.promise.catch(() => {}); // whoever waits for it sees it
  }

  /** Takes note of the data of a MIGRATION event. */
  observe(data: Record<string, unknown> | undefined): void {
    const status = data?.["status"];
    if (status === "completed") this.#ended.resolve();
    else if (status === "failed" || status === "cancelled") this.fail(`QEMU says '${status}'`);
  }

  fail(reason: string): void {
    this.#ended.reject(new Failure("move a machine's state", reason));
  }

  /** Fulfilled once it is done; rejected with a {@link Failure}. */
  async wait(): Promise<void> {
    using deadline = new Deadline(stepSeconds);
    const late = await Promise.race([this.#ended.promise, deadline.passed]);
    if (late !== undefined)
      throw new Failure("move a machine's state", `it takes more than ${stepSeconds} s`);
  }
}

/** What QEMU connects to by `name`, which is `path` to us. */
export interface StateSocket {
  path: string;
  name: string;
}

/** Stops the machine, and writes the state of its devices to a new file. */
export async function saveDevices(
  qmp: QmpClient,
  migration: Migration,
  { path, name }: StateSocket,
  device: string,
): Promise<void> {
  const connected = Promise.withResolvers<Socket>();
  const server = createServer((socket) => connected.resolve(socket));
  try {
    server.listen(path);
    await once(server, "listening");
    await chmod(path, 0o666); // its directory is QEMU's alone
    await qmp.execute("stop", {}, stepSeconds);
    await qmp.execute("migrate-set-capabilities", { capabilities }, stepSeconds);
    await qmp.execute("migrate", { uri: `unix:${name}` }, stepSeconds);
    const file = createWriteStream(device, { flags: "wx", mode: 0o600 });
    const written = connected.promise.then((socket) => pipeline(socket, limited, file));
    await Promise.all([written, migration.wait()]);
  } finally {
    server.close();
    void connected.promise.then((socket) => socket.destroy());
  }
}

/** Restores a machine that was started with `-incoming defer`; it stands still where it was saved. */
export async function restoreDevices(
  qmp: QmpClient,
  migration: Migration,
  descriptor: number,
): Promise<void> {
  await qmp.execute("migrate-set-capabilities", { capabilities }, stepSeconds);
  await qmp.execute("migrate-incoming", { uri: `fd:${descriptor}` }, stepSeconds);
  await migration.wait();
}

/** Has a restored machine go on. */
export async function proceedRestored(qmp: QmpClient): Promise<void> {
  await qmp.execute("cont", {}, stepSeconds);
}

async function* limited(chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > deviceMaxBytes) throw new Failure("save a machine's state", "QEMU sends no end of it");
    yield chunk;
  }
}
