import { spawn, type ChildProcess } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { attempt, Failure, reasonOf } from "../../os/failure.ts";
import type { StartOptions, VirtualMachine, WarmMachine } from "../virtual-machine.ts";
import { installQemuHint } from "./architecture.ts";
import { BoundedFile } from "./bounded-file.ts";
import { commandLine, fileDescriptor, logDescriptor, qmpDescriptor } from "./command-line.ts";
import { ConsoleServer } from "./console-server.ts";
import { InheritedFiles } from "./inherited-files.ts";
import { lendSnapshot } from "./lent-snapshot.ts";
import { QemuMachine } from "./machine.ts";
import { differenceOf, proceedRestored, restoreDevices, saveDevices, visibleOptions } from "./memory.ts";
import { groupDescriptor } from "./network.ts";
import { openLater, plugDisks, plugGroup } from "./places.ts";
import { QmpClient } from "./qmp.ts";
import {
  consoleFileName,
  consoleSocket,
  operatorSocket,
  pidFileName,
  removeRuntimeFiles,
} from "./runtime-files.ts";
import { SocketDirectory } from "./socket-directory.ts";
import { throttle } from "../../os/throttle.ts";

/** Generous: an overloaded host starts slowly, and what QEMU refuses it refuses at once. */
const negotiateSeconds = 60;
const logBytesPerSecond = 4 * 1024 * 1024;
const consoleMaxBytes = 1024 * 1024;
/** How much of QEMU's own messages is kept. */
const stderrMaxChars = 8192;

/**
 * Starts a virtual machine on a snapshot.
 *
 * @throws {Failure} with QEMU's own words if it is missing or refuses (an option, a disk, the accelerator…); the
 * signal's reason if aborted.
 */
export async function startVirtualMachine(options: StartOptions): Promise<VirtualMachine> {
  options.signal?.throwIfAborted();
  const began = performance.now();
  await removeRuntimeFiles(options.runtimeDirectory);
  await using undo = new AsyncDisposableStack();
  const consoleFile = undo.use(openConsole(options));
  undo.defer(() => removeRuntimeFiles(options.runtimeDirectory));
  using files = new InheritedFiles(fileDescriptor);
  const sockets = await SocketDirectory.make(options.runtimeDirectory, options.user, files);
  const takeBack = await lendSnapshot(options, files);
  undo.defer(takeBack);
  const { memory } = options;
  const saved = memory?.mode === "restore" ? files.open(memory.device) : undefined;
  const later = openLater(options, files);
  const argv = commandLine(options, files, sockets);
  checkSaved(options, argv);
  options.log.debug({ argv }, "starting QEMU");
  const child = spawn(argv[0]!, argv.slice(1), {
    cwd: options.directory,
    detached: true, // the terminal's Ctrl-C is for the agent, which shuts machines down in its own order
    stdio: [
      "pipe",
      "pipe",
      "pipe",
      "pipe",
      "pipe",
      ...files.descriptors,
      ...(memory ? ["pipe" as const] : []),
      ...(options.group ? ["pipe" as const] : []),
    ],
  });
  const control = memory ? (child.stdio[files.next] as unknown as Duplex) : undefined;
  if (options.group) options.group.connect(child.stdio[groupDescriptor(memory, files)] as unknown as Duplex);
  const said = recordStreams(child, consoleFile, options);
  const complaint = () => files.explain(said());
  const machine = new QemuMachine({ options, child, consoleFile, sockets, takeBack, complaint });
  undo.use(machine);
  const qmp = new QmpClient(child.stdio[qmpDescriptor] as unknown as Duplex, (event) =>
    machine.observe(event),
  );
  machine.qmp = qmp;
  await writePid(machine.pid, options);
  await serveConsole(machine, child, options);
  await untilNegotiated(machine, qmp, options, complaint);
  options.onAnswer?.(performance.now() - began);
  await moveOperatorSocket(machine, sockets, options);
  if (options.publicScreen) await machine.setScreenPassword(options.publicScreen.password);
  if (control) machine.warm = await warmParts({ machine, qmp, control, sockets, argv, later, options });
  if (saved !== undefined) await unlessAborted(restoreDevices(qmp, machine.migration, saved), options.signal);
  undo.move();
  return machine;
}

/** @throws {Failure} if the machine would not be the one that was saved. */
function checkSaved({ memory, name }: StartOptions, argv: readonly string[]): void {
  const difference =
    memory?.mode === "restore" ? differenceOf(memory.options, visibleOptions(argv)) : undefined;
  if (difference !== undefined) throw new Failure(`restore machine '${name}'`, difference);
}

interface Warming {
  machine: QemuMachine;
  qmp: QmpClient;
  control: Duplex;
  sockets: SocketDirectory;
  argv: readonly string[];
  /** QEMU's names of the disks that it gets later. */
  later: readonly string[];
  options: StartOptions;
}

async function warmParts({
  machine,
  qmp,
  control,
  sockets,
  argv,
  later,
  options,
}: Warming): Promise<WarmMachine> {
  const { memory, name, log } = options;
  control.on("error", (error) => log.debug({ reason: reasonOf(error) }, "QEMU stream ends"));
  const { qemu, package: build } = (await qmp.execute("query-version")) as {
    qemu: { major: number; minor: number; micro: number };
    package: string;
  };
  const version = `${qemu.major}.${qemu.minor}.${qemu.micro} ${build}`.trim();
  if (memory?.mode === "restore" && memory.version !== version)
    throw new Failure(`restore machine '${name}'`, `QEMU ${memory.version} saved it, and this is ${version}`);
  const save = async (device: string) => {
    const socket = sockets.state;
    if (socket === undefined)
      throw new Failure(`save machine '${name}'`, "the path of a socket would be too long");
    await attempt(`save machine '${name}'`, saveDevices(qmp, machine.migration, socket, device));
    await machine.forceDown(); // by its own command: it writes what it has of its disks
  };
  const proceed = () => {
    machine.wake();
    return attempt(`restore machine '${name}'`, proceedRestored(qmp));
  };
  const plug = async () => {
    const { extraDisks = [], group } = options;
    machine.wake();
    await attempt(`give machine '${name}' its disks`, plugDisks(qmp, extraDisks, later));
    if (group) await attempt(`connect machine '${name}' to its group`, plugGroup(qmp, group));
  };
  const rest = () => machine.rest();
  return { control, options: visibleOptions(argv), version, rest, plug, proceed, save };
}

/** For the successor of an agent that crashes, and for operators. */
async function writePid(pid: number | undefined, { runtimeDirectory }: StartOptions): Promise<void> {
  if (pid === undefined) return; // it did not start, which is told in a moment
  const path = join(runtimeDirectory, pidFileName);
  await attempt(`write '${path}'`, writeFile(path, `${pid}\n`, { mode: 0o600 }));
}

async function moveOperatorSocket(
  machine: QemuMachine,
  sockets: SocketDirectory,
  { runtimeDirectory }: StartOptions,
): Promise<void> {
  const socket = operatorSocket(runtimeDirectory);
  if (socket === undefined) return;
  try {
    await sockets.moveOut(socket);
  } catch (error) {
    if (!(await machine.wait(1))) throw error; // one that has ended already has removed it
  }
}

/** Lets operators' terminals in; a machine whose console nobody can reach is worth as much to everybody else. */
async function serveConsole(machine: QemuMachine, child: ChildProcess, options: StartOptions): Promise<void> {
  const path = consoleSocket(options.runtimeDirectory);
  if (path === undefined || !child.stdin || !child.stdout) return;
  try {
    machine.terminals = await ConsoleServer.start(path, child.stdout, child.stdin, machine.consoleFile);
  } catch (error) {
    options.log.warn({ path, reason: reasonOf(error) }, "the machine's console cannot be attached to");
  }
}

async function untilNegotiated(
  machine: QemuMachine,
  qmp: QmpClient,
  options: StartOptions,
  complaint: () => string,
): Promise<void> {
  // A QEMU that ends at once closes the connection first; what it said arrives a little later.
  const failed = qmp.negotiate(negotiateSeconds).then(
    () => undefined,
    (error: unknown) => error,
  );
  const outcome = await unlessAborted(failed, options.signal);
  if (outcome === undefined) return;
  const end = await machine.wait(2);
  const said = complaint();
  throw new Failure(`start machine '${options.name}'`, said || end?.detail || reasonOf(outcome), {
    cause: outcome,
    hints: /no such (file|program)/i.test(said || (end?.detail ?? "")) ? [installQemuHint] : [],
  });
}

/** @throws the signal's reason if aborted, also if that was before. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal!.reason);
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    work.catch(() => {}); // of a machine that ends now
    signal?.removeEventListener("abort", onAbort);
  }
}

function openConsole(options: StartOptions): BoundedFile {
  const path = join(options.runtimeDirectory, consoleFileName);
  try {
    return new BoundedFile(path, options.consoleMaxBytes ?? consoleMaxBytes);
  } catch (error) {
    throw new Failure(`write console file '${path}'`, reasonOf(error), { cause: error });
  }
}

/** Records the console, passes the log on, and keeps what QEMU says about itself. */
function recordStreams(child: ChildProcess, file: BoundedFile, options: StartOptions): () => string {
  let complaint = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-stderrMaxChars);
    options.log.debug({ output: text.trimEnd() }, "QEMU says");
  });
  child.stdout!.on("data", (chunk: Buffer) => {
    const error = file.write(chunk);
    if (error !== undefined)
      options.log.error({ file: file.path, reason: reasonOf(error) }, "console recording ends");
  });
  const log = child.stdio[logDescriptor] as unknown as Duplex;
  throttle(log, logBytesPerSecond, options.onLog ?? (() => {}));
  for (const stream of [child.stdin!, child.stdout!, child.stderr!, log])
    stream.on("error", (error) => options.log.debug({ reason: reasonOf(error) }, "QEMU stream ends"));
  return () => complaint.replaceAll(/^qemu-system-\w+: /gm, "").trim();
}
