/** From what was fetched to a plain disk. */
import { chown, lchown, lstat, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { attempt, Failure } from "../../os/failure.ts";
import { ProgramFailure } from "../../os/run.ts";
import { formatBytes } from "../../os/text/size.ts";
import { freeBytes } from "../../os/files/free-space.ts";
import type { MachineUser } from "../virtual-machine.ts";
import { headerMaxBytes, isQcow2, readQcow2Header } from "./qcow2-header.ts";
import type { Compression, ImageSource } from "./source.ts";
import { SparseFile } from "./sparse-file.ts";
import { runUnprivileged } from "./unprivileged.ts";

const unpackSeconds = 4 * 3600;
/** Names in the directory that is worked in: those of the image are a stranger's. */
export const fetchedName = "fetched";
const imageName = "image";
const diskName = "disk";

const programs: Record<Compression, { argv: string[]; package: string }> = {
  xz: { argv: ["xz", "--decompress", "--stdout"], package: "xz-utils" },
  zst: { argv: ["zstd", "--decompress", "--stdout", "-M256MB", "-q"], package: "zstd" },
};

/** An image is passed by its name in a directory, and nothing of it may lead elsewhere. */
const asImage = `json:${JSON.stringify({
  driver: "qcow2",
  file: { driver: "file", filename: imageName, locking: "off" },
  backing: null,
})}`;

interface UnpackOptions {
  source: ImageSource;
  maxBytes: number;
  user: MachineUser | undefined;
  onStep: (step: string) => void;
  signal: AbortSignal;
}

/**
 * Makes a disk of what was fetched into a directory, as {@link fetchedName}.
 *
 * @param work a directory of the caller's alone.
 * @returns its path, in the directory.
 * @throws {Failure} if the image is refused, or is not what it is said to be.
 */
export async function unpackImage(work: string, options: UnpackOptions): Promise<string> {
  const { source, user } = options;
  const image = join(work, imageName);
  if (user) await chown(work, user.id, user.id); // where the programs are, and find the one file
  if (source.compression === undefined) await rename(join(work, fetchedName), image);
  else await decompress(work, source.compression, options);
  const diskBytes = await diskSize(image, options);
  if (source.format === "raw") return image;
  await convert(work, diskBytes, options);
  await rm(image);
  return join(work, diskName);
}

async function decompress(work: string, compression: Compression, options: UnpackOptions): Promise<void> {
  const { source, maxBytes, user, onStep, signal } = options;
  const { argv, package: name } = programs[compression];
  const [from, to] = [join(work, fetchedName), join(work, imageName)];
  await using file = await SparseFile.make(to);
  const timer = setInterval(() => onStep(`unpacking the image: ${formatBytes(file.bytes)}`), 2000);
  onStep("unpacking the image");
  try {
    await runUnprivileged(argv, {
      ...{ user, maxBytes, timeoutSeconds: unpackSeconds, signal, inputFile: from },
      output: (stdout) => file.fill(stdout, maxBytes),
    });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RangeError) throw tooLarge(source.name, maxBytes);
    throw explained(error, source.name, maxBytes, `On Debian: apt-get install ${name} util-linux`);
  } finally {
    clearInterval(timer);
  }
  await rm(from);
}

/**
 * How large the disk of an image is, by what its header says.
 *
 * @throws {Failure} if no tool is to touch the image.
 */
async function diskSize(image: string, { source, maxBytes }: UnpackOptions): Promise<number> {
  const refused = (reason: string) => new Failure(`import image '${source.name}'`, reason);
  await using file = await open(image, "r");
  const { size } = await file.stat();
  if (size === 0) throw refused("it is empty");
  const buffer = Buffer.alloc(Math.min(headerMaxBytes, size));
  const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
  const beginning = buffer.subarray(0, bytesRead);
  if (source.format === "raw") {
    if (isQcow2(beginning)) throw refused("it is a qcow2 image, and its name or --format says raw");
    return size;
  }
  const header = readQcow2Header(beginning, size, maxBytes);
  if ("refused" in header) throw refused(header.refused);
  return header.virtualBytes;
}

/** A qcow2 image may be damaged where its header is not: what is read of it behind its end would be zeros. */
async function convert(work: string, diskBytes: number, options: UnpackOptions): Promise<void> {
  const { source, maxBytes, user, onStep, signal } = options;
  const tool = { user, maxBytes, cwd: work, timeoutSeconds: unpackSeconds, signal };
  const disk = join(work, diskName);
  if (user) await chown(join(work, imageName), user.id, user.id);
  try {
    onStep("checking the image");
    const leaksOnly = 3;
    const { stdout } = await runUnprivileged(["qemu-img", "check", asImage], {
      ...tool,
      accept: [leaksOnly],
    });
    await checkSpace(work, diskBytes * allocatedPart(stdout), source.name);
    using _progress = toldSize(disk, (size) => onStep(`unpacking the image: ${size}`));
    onStep("unpacking the image");
    await runUnprivileged(["qemu-img", "convert", "-q", "-O", "raw", asImage, diskName], tool);
  } catch (error) {
    signal.throwIfAborted();
    throw explained(error, source.name, maxBytes, "On Debian: apt-get install qemu-utils util-linux");
  }
  // Whatever else a program leaves that an image has taken over is not followed.
  const made = await attempt(`import image '${source.name}'`, lstat(disk));
  if (!made.isFile() || made.nlink !== 1)
    throw new Failure(`import image '${source.name}'`, "what was made of it is no file");
  if (user) await lchown(disk, process.geteuid!(), process.getegid!());
}

/** How much of a disk there is, by qemu-img check; all of it if that does not say. */
function allocatedPart(said: string): number {
  const [, allocated, all] = /^(\d+)\/(\d+) = .* allocated/m.exec(said) ?? [];
  return Number(all) > 0 ? Number(allocated) / Number(all) : 1;
}

/** @throws {Failure} if what an image unpacks to has no room in a directory. */
async function checkSpace(work: string, bytes: number, name: string): Promise<void> {
  const free = await freeBytes(work);
  if (bytes > free)
    throw new Failure(
      `import image '${name}'`,
      `it unpacks to ${formatBytes(bytes)}, and there is room for ${formatBytes(free)}`,
    );
}

/** In the words of the program, as far as they are for people. */
function explained(error: unknown, name: string, maxBytes: number, hint: string): unknown {
  if (!(error instanceof ProgramFailure)) return error;
  const action = `import image '${name}'`;
  if (/SIGXFSZ|File too large|File size limit/i.test(`${error.reason} ${error.output}`))
    return tooLarge(name, maxBytes);
  const missing = /no such program|No such file or directory/.test(error.reason + error.output);
  const said = error.output.trim().split("\n").slice(0, 3).join("\n  ");
  const damaged = error.argv.includes("check") ? "it is damaged or truncated" : error.reason;
  return new Failure(action, `${damaged}${said ? `:\n  ${said}` : ""}`, {
    cause: error,
    hints: missing ? [hint] : [],
  });
}

function tooLarge(name: string, maxBytes: number): Failure {
  return new Failure(
    `import image '${name}'`,
    `it unpacks to more than ${formatBytes(maxBytes)} (--max-size)`,
  );
}

/** Tells from time to time how much of a file there is. */
function toldSize(path: string, tell: (size: string) => void): Disposable {
  const look = () => {
    stat(path).then(
      ({ blocks }) => tell(formatBytes(blocks * 512)),
      () => {}, // not there yet, or no more
    );
  };
  const timer = setInterval(look, 2000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Gives a disk the size that is wanted, if it has less. */
export async function growDisk(disk: string, bytes: number): Promise<void> {
  await using file = await open(disk, "r+");
  if ((await file.stat()).size < bytes) await attempt(`enlarge '${disk}'`, file.truncate(bytes));
}
