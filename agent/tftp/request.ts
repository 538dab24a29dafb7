/**
 * A request as it comes over the wire (RFC 1350, options RFC 2347), checked before anything acts on it.
 *
 * The package's own parser is not used beyond its strings: it resolves `..` before anybody can look at the name,
 * drops the `timeout` option, knows option names in lower case only, and refuses a request for an option value it
 * does not like, where RFC 2347 has the server leave that option out of its answer.
 */
import errors, { type TftpError } from "tftp/lib/protocol/errors.js";
import opcodes from "tftp/lib/protocol/opcodes.js";
import readString from "tftp/lib/protocol/packets/read-string.js";

/** RFC 2347: a request is at most 512 bytes. */
const requestMaxBytes = 512;

/** Most bytes that are under way in one window: what a socket's receive buffer holds on an untuned host. */
const windowMaxBytes = 128 * 1024;
const windowMaxBlocks = 64;

/** Begins the names of unfinished uploads, which no client may ask for. */
export const temporaryPrefix = ".croft-upload-";

/** A TFTP error to answer with. */
export class TftpRefusal extends Error {
  readonly answer: TftpError;

  constructor(answer: TftpError, message = answer.message) {
    super(message);
    this.name = "TftpRefusal";
    // The package writes messages as one byte per character.
    this.answer = { ...answer, message };
  }
}

/** The options of a request that can be granted, in the units of the RFCs. */
export interface RequestOptions {
  /** RFC 2348, bytes. */
  blksize?: number;
  /** RFC 2349, bytes; for a read the server fills it in. */
  tsize?: number;
  /** RFC 2349, seconds. */
  timeout?: number;
  /** RFC 7440, blocks. */
  windowsize?: number;
}

export interface TftpRequest {
  method: "get" | "put";
  /** Relative path with `/`, no empty, `.` or `..` component. */
  name: string;
  /** Undefined if the client sent none, or none that is known. */
  options: RequestOptions | undefined;
}

/** What a request asks for before its name and mode are checked: enough to name it in an event. */
export interface RequestText {
  method: "get" | "put";
  name: string;
  mode: string;
  options: RequestOptions | undefined;
}

/** Takes a request datagram apart. @throws {TftpRefusal} if it is none. */
export function readRequest(datagram: Buffer): RequestText {
  const operation = datagram.readUInt16BE(0);
  if (operation !== opcodes.RRQ && operation !== opcodes.WRQ) throw new TftpRefusal(errors.EBADOP);
  if (datagram.length > requestMaxBytes) throw new TftpRefusal(errors.EBADOP, errors.EBADMSG.message);
  try {
    const position = { offset: 2 };
    const name = readString(datagram, position);
    const mode = readString(datagram, position).toLowerCase();
    const options = readOptions(datagram, position);
    return { method: operation === opcodes.RRQ ? "get" : "put", name, mode, options };
  } catch (error) {
    if (error === errors.EBADMSG) throw new TftpRefusal(errors.EBADOP, errors.EBADMSG.message);
    throw error;
  }
}

/** Checks mode and name. @throws {TftpRefusal} */
export function checkRequest(text: RequestText): TftpRequest {
  if (text.mode !== "octet") throw new TftpRefusal(errors.EBADOP, "Only octet (binary) mode is served");
  return { method: text.method, name: checkName(text.name), options: text.options };
}

const bounds: Record<keyof RequestOptions, [number, number]> = {
  blksize: [8, 65464],
  tsize: [0, Number.MAX_SAFE_INTEGER],
  timeout: [1, 255],
  windowsize: [1, 65535],
};

function readOptions(datagram: Buffer, position: { offset: number }): RequestOptions | undefined {
  const options: RequestOptions = {};
  while (position.offset < datagram.length) {
    const key = readString(datagram, position).toLowerCase();
    const value = readString(datagram, position);
    if (!Object.hasOwn(bounds, key) || !/^\d{1,16}$/.test(value)) continue;
    const [minimum, maximum] = bounds[key as keyof RequestOptions];
    if (Number(value) >= minimum && Number(value) <= maximum)
      options[key as keyof RequestOptions] = Number(value);
  }
  if (options.windowsize !== undefined)
    options.windowsize = Math.min(options.windowsize, windowLimit(options.blksize ?? 512));
  return Object.keys(options).length > 0 ? options : undefined;
}

function windowLimit(blockSize: number): number {
  return Math.max(1, Math.min(windowMaxBlocks, Math.floor(windowMaxBytes / blockSize)));
}

/**
 * A name from the wire as a relative path. One leading `/` is ignored.
 *
 * @throws {TftpRefusal} (access violation) for anything that is not a plain path.
 */
function checkName(raw: string): string {
  let name: string;
  try {
    // Also refuses overlong forms of `/` and `.`.
    name = new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(raw, "latin1"));
  } catch {
    throw new TftpRefusal(errors.EACCESS);
  }
  if (name.startsWith("/")) name = name.slice(1);
  // An encoded separator or dot is nothing a file here is called, but something that a later reader might decode.
  const plain = !/[\\\p{Cc}]/u.test(name) && !/%(?:2e|2f|5c|00|25)/i.test(name);
  if (!plain || !name.split("/").every(isPlainComponent)) throw new TftpRefusal(errors.EACCESS);
  return name;
}

function isPlainComponent(part: string): boolean {
  return part !== "" && part !== "." && part !== ".." && !part.startsWith(temporaryPrefix);
}
