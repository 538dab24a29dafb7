/**
 * The control port of a machine that is saved, and of the copies that are restored from it (`org.croft.control`, a
 * virtio-serial port; the worker's end is worker/guest/parts/78-warm.sh).
 *
 * The worker writes "croft-control 3 ready" and blocks in a read: with nothing in flight, and no time limit running, which
 * is where the agent saves the machine. "croft-control 3 refused kernel" instead says that copies would have the same random
 * numbers for a moment, as their kernel does not see that they are copies (it has no driver for QEMU's vmgenid). Each copy
 * goes on in that read:
 *
 *     agent    croft-control 3 start HOST:PORT MAC N S M A   a line; where its TFTP server is; on a bridge, whose interface
 *                                                  is down when it is saved, the address that the copy has there, else
 *                                                  "-"; how many disks it is given; how long its secrets are; of a
 *                                                  machine in a group, the MAC address of the device that it is given, and
 *                                                  its address in the group's network (198.18.0.2/24), else "-" for each
 *     agent    S bytes: secrets of the build (manifests/own/handed-secrets.ts)
 *     worker   ?                                   one byte: the next is read at once, however slow the copy is
 *     agent    80 bytes: the time (struct timespec, little-endian) and 64 random bytes
 *     worker   32 bytes, drawn from /dev/urandom
 *
 * On a bridge, its interface is brought up after that. All copies have the same clock and the same random numbers to come,
 * until the worker has set the clock, written the random bytes to /dev/urandom and had the kernel seed its generator anew
 * (ioctl RNDRESEEDCRNG: without it, the copies draw equal bytes in spite of what was written). It does so before anything else. Equal answers of two copies are the sign that it did
 * not work (machines/warm/seen-randomness.ts).
 *
 * After the answer nothing is read from the port: from then on the machine belongs to the build. All that is read is
 * bounded, and so is the time for it. A worker that has another version says so by another number, and is not saved.
 */
import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { Deadline } from "../../../os/deadline.ts";
import { Failure } from "../../../os/failure.ts";

const readyLine = "croft-control 3 ready";
const refusedLine = "croft-control 3 refused kernel";
const lineMaxBytes = 64;
const question = "?";
const seedBytes = 64;
const drawnBytes = 32;

/** The machine has ended, or is about to. */
export class ControlLost extends Failure {}

/** The machine has not said its word in time. */
export class Late extends Failure {}

/** A machine whose copies would not be different enough, for good. */
export class Refused extends Failure {}

/**
 * Waits until the worker is where its machine may be saved.
 *
 * @throws {Refused} if it must not be saved; {@link Failure} if it says something else, or nothing in time; the signal's
 * reason if aborted.
 */
export async function untilReady(
  control: Duplex,
  timeoutSeconds: number,
  signal: AbortSignal,
): Promise<void> {
  const said = (await read(control, "line", timeoutSeconds, signal)).toString("latin1").trimEnd();
  if (said === refusedLine)
    throw new Refused(
      "save a machine",
      "its kernel has no driver for vmgenid, so that its copies would begin with the same random numbers",
      { hints: ["Machines of Debian get a newer kernel by 'croft machine update'."] },
    );
  if (said !== readyLine)
    throw new Failure("save a machine", "its worker says something unknown on the control port");
}

/** What a restored machine is told that it cannot know. */
interface Told {
  tftp: string;
  mac?: string | undefined;
  disks?: number;
  secrets?: Uint8Array | undefined;
  group?: { mac: string; address: string } | undefined;
}

/**
 * Has the worker of a restored machine begin, and closes the port.
 *
 * @returns what it has drawn from its random numbers.
 * @throws {Failure} if it does not answer in time; the signal's reason if aborted.
 */
export async function startWorker(
  control: Duplex,
  told: Told,
  timeoutSeconds: number,
  signal: AbortSignal,
): Promise<Buffer> {
  try {
    const deadline = performance.now() + timeoutSeconds * 1000;
    const secondsLeft = () => Math.max(0, deadline - performance.now()) / 1000;
    const { tftp, mac = "-", disks = 0, secrets, group = { mac: "-", address: "-" } } = told;
    const words = [tftp, mac, disks, secrets?.length ?? 0, group.mac, group.address];
    control.write(`croft-control 3 start ${words.join(" ")}\n`);
    if (secrets) control.write(secrets);
    const asked = await read(control, question.length, secondsLeft(), signal);
    if (asked.toString("latin1") !== question)
      throw new Failure("restore a machine", "its worker says something unknown on the control port");
    control.write(Buffer.concat([now(), randomBytes(seedBytes)]));
    return await read(control, drawnBytes, secondsLeft(), signal);
  } finally {
    control.destroy();
  }
}

/** The time as a struct timespec. */
function now(): Buffer {
  const milliseconds = Date.now();
  const time = Buffer.alloc(16);
  time.writeBigInt64LE(BigInt(Math.floor(milliseconds / 1000)), 0);
  time.writeBigInt64LE(BigInt(milliseconds % 1000) * 1_000_000n, 8);
  return time;
}

/** Reads so many bytes, or a line; more are a mistake. */
async function read(
  control: Duplex,
  wanted: number | "line",
  timeoutSeconds: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const mostBytes = wanted === "line" ? lineMaxBytes : wanted;
  using deadline = new Deadline(timeoutSeconds, signal);
  const done = Promise.withResolvers<"done">();
  let got = Buffer.alloc(0);
  const onData = (chunk: Buffer) => {
    got = Buffer.concat([got, chunk]).subarray(0, mostBytes + 1);
    if (got.length >= mostBytes || (wanted === "line" && got.includes("\n"))) done.resolve("done");
  };
  const onClose = () => done.reject(new ControlLost("use a machine's control port", "the machine has ended"));
  control.on("data", onData).once("close", onClose).resume();
  if (control.destroyed) onClose();
  try {
    const how = await Promise.race([done.promise, deadline.passed]);
    signal.throwIfAborted();
    if (how === "late") throw new Late("use a machine's control port", "its worker says nothing in time");
  } finally {
    done.promise.catch(() => {});
    control.off("data", onData).off("close", onClose).pause();
  }
  if (wanted === "line" ? got.indexOf("\n") === got.length - 1 : got.length === wanted) return got;
  throw new Failure("use a machine's control port", "its worker says more than it should");
}
