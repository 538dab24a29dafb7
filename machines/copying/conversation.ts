/**
 * What `croft machine copy` and `croft machine receive` on another host say to each other, by the standard streams of ssh: S is who
 * sends, R who receives.
 *
 *     R: greeting   a line of JSON: the version of this protocol, and of croft
 *     S: offer      a line of JSON: the machine, the revision's id, and its files with their sizes
 *     R: answer     a line of JSON: it is there already (the end), or it is to be sent
 *     for each file, in the order of the offer, and each segment of its blocks that are not zero (blocks.ts):
 *       S: how many blocks, 4 bytes; 0 ends the file
 *       S: for each the number of the block in the file, 4 bytes; for each its digest, 16 bytes
 *       R: for each a byte, 1 if it is to be sent
 *       S: those, 4096 bytes each
 *     R: done       a line of JSON: the path of the revision, once it is published
 *
 * Numbers are in network order. Neither end believes the other: what is read has a size that is known before, and what ends,
 * fails or is silent for long ends the conversation.
 */
import type { Readable, Writable } from "node:stream";
import { Type } from "typebox";
import type { Static, TSchema } from "typebox";
import { Compile } from "typebox/compile";

export const protocolVersion = 1;

/** Begins what R tells on its standard error of what it does: such a line is never why a copy fails. */
export const stepMark = "  ";

const lineMaxBytes = 64 * 1024;
/** Who receives reads what it has, and writes a machine to its disk, without a word. */
const silenceSeconds = 1800;
/** Who sends always has something to say; unless its connection is lost, which the other end may never be told. */
export const senderSilenceSeconds = 300;

export const greetingSchema = Type.Object({ "croft-machine-receive": Type.Integer(), croft: Type.String() });
export const offerSchema = Type.Object({
  name: Type.String(),
  id: Type.String({ minLength: 1, maxLength: 1000 }),
  files: Type.Array(
    Type.Object({
      name: Type.String(),
      bytes: Type.Integer({ minimum: 0, maximum: 2 ** 43 }), // numbers of its blocks fit 4 bytes
      dataBytes: Type.Integer({ minimum: 0, maximum: 2 ** 43 }),
    }),
    { minItems: 1, maxItems: 64 },
  ),
});
export const answerSchema = Type.Object({ there: Type.Optional(Type.String()) });
export const doneSchema = Type.Object({ revision: Type.String() });

/** What is sent: a machine's name, the id of its revision, and files. */
export type Offer = Static<typeof offerSchema>;

/** The other end has ended, is silent, or says what it should not. */
export class Misunderstanding extends Error {}

/** One end of it. */
export class Conversation {
  bytesSent = 0;
  bytesReceived = 0;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #output: Writable;
  #pending: Buffer = Buffer.alloc(0);

  readonly #silenceSeconds: number;
  readonly #signal: AbortSignal | undefined;

  /**
   * @param patienceSeconds how long the other end may be silent.
   * @param signal ends all waiting for it, with its reason.
   */
  constructor(
    input: Readable,
    output: Writable,
    { patienceSeconds = silenceSeconds, signal }: { patienceSeconds?: number; signal?: AbortSignal } = {},
  ) {
    this.#silenceSeconds = patienceSeconds;
    this.#signal = signal;
    this.#chunks = (input as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    this.#output = output;
    output.on("error", () => {}); // who writes is told
  }

  /** @throws {Misunderstanding} */
  async receive<T extends TSchema>(what: string, schema: T): Promise<Static<T>> {
    const line = await this.#line(what);
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      // told below
    }
    if (!Compile(schema).Check(value))
      throw new Misunderstanding(`it says '${line.slice(0, 200)}' instead of ${what}`);
    return value as Static<T>;
  }

  async #line(what: string): Promise<string> {
    for (;;) {
      const end = this.#pending.indexOf("\n");
      if (end >= 0) {
        const line = this.#pending.toString("utf8", 0, end);
        this.#pending = this.#pending.subarray(end + 1);
        return line;
      }
      if (this.#pending.length > lineMaxBytes)
        throw new Misunderstanding(`it says '${this.#pending.toString("utf8", 0, 200)}…' instead of ${what}`);
      this.#pending = Buffer.concat([this.#pending, await this.#chunk()]);
    }
  }

  /** @throws {Misunderstanding} */
  async bytes(count: number): Promise<Buffer> {
    const pieces = [this.#pending];
    for (let have = this.#pending.length; have < count;) {
      const chunk = await this.#chunk();
      pieces.push(chunk);
      have += chunk.length;
    }
    const all = pieces.length === 1 ? this.#pending : Buffer.concat(pieces);
    this.#pending = all.subarray(count);
    return all.subarray(0, count);
  }

  /** @throws {Misunderstanding} */
  async #chunk(): Promise<Buffer> {
    const { value, done } = await this.#inTime(this.#chunks.next());
    if (done) throw new Misunderstanding("it ended before its time");
    this.bytesReceived += value.length;
    return value;
  }

  async say(message: object): Promise<void> {
    await this.send(Buffer.from(`${JSON.stringify(message)}\n`));
  }

  /** @throws {Misunderstanding} */
  async send(bytes: Buffer): Promise<void> {
    await this.#inTime(
      new Promise<void>((resolve, reject) =>
        this.#output.write(bytes, (error) => (error ? reject(error) : resolve())),
      ),
    );
    this.bytesSent += bytes.length;
  }

  /** A stream that fails is one that has ended. */
  async #inTime<T>(work: Promise<T>): Promise<T> {
    const [signal, seconds] = [this.#signal, this.#silenceSeconds];
    const over = Promise.withResolvers<never>();
    const late = new Misunderstanding(`it was silent for ${seconds} s`);
    const timer = setTimeout(() => over.reject(late), seconds * 1000);
    const onAbort = () => over.reject(signal!.reason);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
    try {
      return await Promise.race([work, over.promise]);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof Misunderstanding) throw error;
      throw new Misunderstanding("it ended before its time", { cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }
}
