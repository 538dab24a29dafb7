/**
 * The end of a copy that gets a revision: `croft machine receive`. It is made in a hidden directory as every other one
 * (image/making.ts), and published when all of it is there; whatever happens before leaves nothing, or what the next one clears
 * away. Blocks that the machine's current revision has are taken from there.
 */
import { closeSync, existsSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { freeBytes } from "../../os/files/free-space.ts";
import { assertFailure, attempt, Failure } from "../../os/failure.ts";
import { packageVersion } from "../../os/files/package.ts";
import { formatBytes, MiB } from "../../os/text/size.ts";
import { findVolume } from "../image/create-machine.ts";
import { beginRevision } from "../image/making.ts";
import { currentRevision, machinePaths, revisionPath, type MachinePaths } from "../layout.ts";
import { readMachineManifest } from "../manifest-files.ts";
import { checkMachineName } from "../names.ts";
import { listRevisions, publishRevision, switchLink } from "../revisions.ts";
import type { Storage } from "../storage.ts";
import { blockAt, BlockIndex, blockBytes, digestBytes, digestOf, segmentBlocks } from "./blocks.ts";
import {
  Misunderstanding,
  offerSchema,
  protocolVersion,
  type Conversation,
  type Offer,
} from "./conversation.ts";
import { isFileName, openFiles, wrongDisk } from "./files.ts";

interface ReceiveOptions {
  conversation: Conversation;
  /** The machines directory; must be there. */
  machines: string;
  /** Name of the volume; without it, the one that has the machine, else the first, else `default`. */
  volume?: string;
  storage: Storage;
  onStep: (step: string) => void;
  signal: AbortSignal;
}

/** Left free by a copy. */
const spareBytes = 64 * MiB;

/**
 * Receives a revision, and publishes it.
 *
 * @throws {Failure} if it is refused, or cannot be written.
 * @throws {Misunderstanding} if the other end says what it should not.
 */
export async function receiveRevision(options: ReceiveOptions): Promise<void> {
  const { conversation, machines, storage, onStep, signal } = options;
  await conversation.say({ "croft-machine-receive": protocolVersion, croft: packageVersion });
  const offer = await conversation.receive("what it has", offerSchema);
  const { name } = offer;
  const action = `receive machine '${name}'`;
  checkOffer(action, offer);
  const paths = machinePaths(machines, options.volume ?? findVolume(machines, name), name, "none");
  const there = await alreadyThere(paths, offer.id);
  if (there !== undefined) return await conversation.say({ there });
  onStep(await checkSpace(action, machines, offer));
  await using making = await beginRevision(storage, paths, signal);
  using opened = new DisposableStack();
  const index = await indexOf(paths, opened, options);
  await conversation.say({});
  for (const file of offer.files) {
    const descriptor = openSync(join(making.path, file.name), "wx+", 0o644);
    opened.defer(() => closeSync(descriptor));
    await receiveFile(conversation, { ...file, descriptor }, index, signal);
    const wrong = wrongDisk({ ...file, descriptor });
    if (wrong !== undefined) throw new Failure(action, wrong);
  }
  const manifest = readMachineManifest(paths, making.path);
  if (manifest?.id !== offer.id)
    throw new Failure(action, "its manifest has another id than what was offered");
  signal.throwIfAborted();
  onStep("publishing");
  await making.finish();
  const revision = await publishRevision(storage, paths, making.path);
  await conversation.say({ revision: revisionPath(paths, revision) });
}

/** @throws {Failure} if it is nothing that may be received. */
function checkOffer(action: string, { name, files }: Offer): void {
  const wrong = checkMachineName(name);
  if (wrong !== undefined) throw new Failure(action, wrong);
  const names = files.map((file) => file.name);
  const refused = names.find((file) => !isFileName(file));
  if (refused !== undefined) throw new Failure(action, `no file of a machine is called '${refused}'`);
  if (new Set(names).size !== names.length) throw new Failure(action, "it has a file twice");
  if (!names.includes("manifest")) throw new Failure(action, "it has no manifest");
}

/** A revision with this id is made the current one, if it is not; returns its path. */
async function alreadyThere(paths: MachinePaths, id: string): Promise<string | undefined> {
  const revision = listRevisions(paths).findLast((each) => idOf(paths, revisionPath(paths, each)) === id);
  if (revision === undefined) return undefined;
  const path = revisionPath(paths, revision);
  const current = currentRevision(paths);
  if (current === undefined || idOf(paths, current) !== id) await switchLink(paths, revision);
  return path;
}

function idOf(paths: MachinePaths, revision: string): string | undefined {
  try {
    return readMachineManifest(paths, revision)?.id;
  } catch (error) {
    assertFailure(error);
    return undefined; // one that cannot be read is another one
  }
}

async function checkSpace(action: string, machines: string, { files }: Offer): Promise<string> {
  const free = await attempt(action, freeBytes(machines));
  const need = files.reduce((sum, { dataBytes }) => sum + dataBytes, 0);
  if (need + spareBytes > free)
    throw new Failure(action, `it takes ${formatBytes(need)}, and ${formatBytes(free)} are free`);
  return `space: ${formatBytes(need)}; ${formatBytes(free)} are free`;
}

/** What there is of the machine. */
async function indexOf(
  paths: MachinePaths,
  opened: DisposableStack,
  { onStep, signal }: ReceiveOptions,
): Promise<BlockIndex> {
  const index = new BlockIndex();
  const current = currentRevision(paths);
  if (current === undefined || !existsSync(current)) return index;
  onStep(`looking at what is there: ${current}`);
  for (const { descriptor, bytes } of openFiles(current, `compare with '${current}'`, opened))
    await index.addAll(descriptor, bytes, signal);
  return index;
}

type IncomingFile = Offer["files"][number] & { descriptor: number };

async function receiveFile(
  conversation: Conversation,
  { descriptor, bytes, dataBytes }: IncomingFile,
  index: BlockIndex,
  signal: AbortSignal,
): Promise<void> {
  const file = index.open(descriptor);
  let [left, next] = [dataBytes / blockBytes, 0];
  for (let count; (count = (await conversation.bytes(4)).readUInt32BE(0)) > 0;) {
    signal.throwIfAborted();
    if (count > segmentBlocks || count > left)
      throw new Misunderstanding("it sends more than it has offered");
    left -= count;
    const numbers = await conversation.bytes(4 * count);
    const positions = Array.from({ length: count }, (_, at) => numbers.readUInt32BE(4 * at));
    for (const position of positions) {
      if (position < next || position * blockBytes >= bytes)
        throw new Misunderstanding("it sends blocks that the file cannot have");
      next = position + 1;
    }
    const digests = await conversation.bytes(digestBytes * count);
    const data = await receiveBlocks(conversation, digests, index);
    writeBlocks(descriptor, positions, data);
    positions.forEach((position, at) => index.add(digestAt(digests, at), file, position));
  }
  ftruncateSync(descriptor, bytes);
}

function digestAt(digests: Buffer, at: number): Buffer {
  return digests.subarray(at * digestBytes, (at + 1) * digestBytes);
}

/** Those that are here are read, the others asked for. */
async function receiveBlocks(
  conversation: Conversation,
  digests: Buffer,
  index: BlockIndex,
): Promise<Buffer> {
  const count = digests.length / digestBytes;
  const data = Buffer.alloc(count * blockBytes);
  const wanted = Buffer.alloc(count);
  for (let at = 0; at < count; at++)
    wanted[at] = index.read(digestAt(digests, at), blockAt(data, at)) ? 0 : 1;
  await conversation.send(wanted);
  const missing = [...wanted.keys()].filter((at) => wanted[at] === 1);
  const sent = await conversation.bytes(missing.length * blockBytes);
  missing.forEach((at, order) => {
    const block = blockAt(sent, order);
    if (!digestOf(block).equals(digestAt(digests, at)))
      throw new Misunderstanding("it sends a block that is not what was told");
    block.copy(data, at * blockBytes);
  });
  return data;
}

/** Neighbours at once. */
function writeBlocks(descriptor: number, positions: readonly number[], data: Buffer): void {
  for (let from = 0; from < positions.length;) {
    let to = from + 1;
    while (to < positions.length && positions[to] === positions[to - 1]! + 1) to++;
    const run = data.subarray(from * blockBytes, to * blockBytes);
    for (let done = 0; done < run.length;)
      done += writeSync(descriptor, run, done, run.length - done, positions[from]! * blockBytes + done);
    from = to;
  }
}
