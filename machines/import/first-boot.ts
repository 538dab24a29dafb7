/** The one boot of an image in which it becomes a machine. */
import { open, readFile } from "node:fs/promises";
import { randomInt } from "node:crypto";
import { Failure } from "../../os/failure.ts";
import { LineSplitter } from "../../os/text/lines.ts";
import { printable } from "../../os/text/terminal-text.ts";
import { startVirtualMachine } from "../qemu/start.ts";
import type { MachineEnd, StartOptions, VirtualMachine } from "../virtual-machine.ts";
import { saying } from "./seed.ts";

/** Of what the guest says, a line is at most so long. */
const longestLineBytes = 1024;
/** Once the console asks for a login, cloud-init has begun long ago, if it is there: it comes before that. */
const loginGraceSeconds = 60;
/** How long a machine that is ready may take to end. */
const shutdownSeconds = 300;
const lookSeconds = 2;
const tellSeconds = 10;
/** Of the console, in an error. */
const shownLines = 8;

export interface FirstBootOptions extends Pick<
  StartOptions,
  "directory" | "runtimeDirectory" | "cpus" | "ramKiB" | "accel" | "qemu" | "user" | "log"
> {
  /** Name of the machine. */
  name: string;
  timeoutSeconds: number;
  onStep: (step: string) => void;
  signal: AbortSignal;
}

/**
 * Boots the disks of a directory, a seed among them, and waits until the machine is ready and off.
 *
 * @throws {Failure} with the machine's reason, or with what is on its console.
 */
export async function bootOnce(options: FirstBootOptions): Promise<void> {
  const { name, onStep, signal, timeoutSeconds } = options;
  const guest = new GuestWords(onStep);
  await using machine = await startVirtualMachine({
    ...options,
    machine: { id: name, name, summary: name, type: "kvm" },
    mac: temporaryMac(),
    network: { kind: "user", tftpPort: 9 }, // there is no server: it only learns how it would be told
    onLog: (chunk) => guest.hear(chunk),
  });
  onStep("booting it, once");
  const outcome = await watch(machine, guest, timeoutSeconds, options);
  signal.throwIfAborted();
  if (outcome === undefined) return;
  throw new Failure(`import machine '${name}'`, `${outcome}${await consoleEnd(machine)}`, {
    hints: hintsFor(outcome),
  });
}

/** @returns why the machine is not ready, if it is not. */
async function watch(
  machine: VirtualMachine,
  guest: GuestWords,
  timeoutSeconds: number,
  { onStep, signal }: FirstBootOptions,
): Promise<string | undefined> {
  const began = performance.now();
  let [told, login] = [began, Infinity];
  for (;;) {
    const now = performance.now();
    const end = await machine.wait(lookSeconds, signal);
    if (guest.refused !== undefined) return guest.refused;
    if (end) return guest.isReady && end.how === "shutdown" ? undefined : whyEnded(end, guest);
    if (guest.isReady) return await ends(machine);
    if (!guest.hasBegun && login === Infinity && (await asksForLogin(machine))) login = now;
    if (!guest.hasBegun && now - login > loginGraceSeconds * 1000)
      return "it asks for a login, and cloud-init has not begun: there is none in it, or it does not look for a NoCloud seed";
    if (now - began > timeoutSeconds * 1000)
      return `it is not ready after ${timeoutSeconds} s (--timeout)${guest.hasBegun ? "" : ", and cloud-init has not begun"}`;
    if (now - told > tellSeconds * 1000) {
      told = now;
      onStep("it still boots");
    }
  }
}

async function ends(machine: VirtualMachine): Promise<string | undefined> {
  const end = await machine.wait(shutdownSeconds);
  if (!end) return `it is ready, and does not power off within ${shutdownSeconds} s`;
  return end.how === "shutdown" ? undefined : end.detail;
}

function whyEnded({ detail }: MachineEnd, guest: GuestWords): string {
  return guest.isReady ? detail : `${detail}, before it was ready`;
}

function hintsFor(reason: string): string[] {
  if (/cloud-init has not begun/.test(reason))
    return ["Only images with cloud-init can be imported: the cloud images of distributions."];
  if (/--timeout/.test(reason))
    return ["Where processors are emulated, a boot takes minutes: give it more time."];
  return [];
}

/** What the guest says on its log port: lines of a stranger. */
class GuestWords {
  isReady = false;
  hasBegun = false;
  refused: string | undefined;
  readonly #lines = new LineSplitter(longestLineBytes);
  readonly #onStep: (step: string) => void;

  constructor(onStep: (step: string) => void) {
    this.#onStep = onStep;
  }

  hear(chunk: Buffer): void {
    for (const { text } of this.#lines.push(chunk)) {
      const [, word, rest = ""] =
        (text.startsWith(saying) && /^ (\w+) ?(.*)$/.exec(printable(text).slice(saying.length))) || [];
      if (word === "ready") this.isReady = true;
      if (word === "failed") this.refused ??= rest;
      if (word === "step") this.#onStep(rest);
      if (word !== undefined) this.hasBegun = true;
    }
  }
}

/** Whether a login is asked for at the end of the console. */
async function asksForLogin(machine: VirtualMachine): Promise<boolean> {
  await using file = await open(machine.consoleFile, "r");
  const { size } = await file.stat();
  const end = Buffer.alloc(Math.min(size, 4096));
  await file.read(end, 0, end.length, size - end.length);
  return /\blogin:/.test(end.toString("latin1"));
}

async function consoleEnd(machine: VirtualMachine): Promise<string> {
  await machine.forceDown();
  const text = await readFile(machine.consoleFile, "utf8").catch(() => "");
  const lines = text
    .split(/[\r\n]+/)
    .map((line) => printable(line).trimEnd().slice(0, 200))
    .filter((line) => line !== "");
  if (lines.length === 0) return "; its console (ttyS0) is silent";
  return `; the end of its console:\n  ${lines.slice(-shownLines).join("\n  ")}`;
}

/** Locally administered; the machine gets another one later. */
function temporaryMac(): string {
  const octets = Array.from({ length: 5 }, () => randomInt(256).toString(16).padStart(2, "0"));
  return ["02", ...octets].join(":");
}
