/**
 * What an upload of artifacts is made of: `multipart/form-data` with the fields `session`, `challenge` (the signature,
 * where keys are used), and for each file a field `sha256` right before the part `file`.
 *
 * Agents of other makes send one archive in a request, in an order that they choose: `session`, `challenge`, `instance`
 * (what kind of archive it is), `archive`, `sha256sum`; their answer is a manifest, as from the controller that they know.
 */
import type { Multipart, MultipartFile } from "@fastify/multipart";
import type { ReceivedFile } from "../builds/artifacts.ts";
import type { Controller } from "../controller.ts";
import type { Session } from "../builds/session.ts";
import { turning, visible } from "../../os/text/visible.ts";
import { isAuthentic } from "./access.ts";

/** Why an upload is refused. */
export class UploadError extends Error {
  readonly status: number;
  /** Whether the upload has the form of other agents. */
  ofArchive = false;

  constructor(status: number, reason: string) {
    super(reason);
    this.status = status;
  }
}

/** Checks the parts of an upload as they come: nothing is read from an agent that has not shown who it is. */
export class UploadReader {
  readonly #controller: Controller;
  readonly #session: Session;
  #signature: string | undefined;
  #digest: string | undefined;
  #authentic = false;
  /** In the form of other agents. */
  #archive: ReceivedFile | undefined;
  #instance: string | undefined;
  #archiveDigest: string | undefined;

  constructor(controller: Controller, session: Session) {
    this.#controller = controller;
    this.#session = session;
  }

  /** Whether it has the form of other agents, as far as it has been seen. */
  get isArchive(): boolean {
    return [this.#archive, this.#instance, this.#archiveDigest].some((value) => value !== undefined);
  }

  async take(part: Multipart): Promise<ReceivedFile | undefined> {
    if (part.type === "file" && part.fieldname === "archive") return await this.#receiveArchive(part);
    if (part.type === "file") return await this.#receive(part);
    const value = typeof part.value === "string" ? part.value : "";
    if (part.fieldname === "session" && value !== this.#session.token)
      throw new UploadError(400, "the field 'session' is not the URL's");
    if (part.fieldname === "challenge") this.#signature = value;
    if (part.fieldname === "sha256") this.#digest = value.toLowerCase();
    if (part.fieldname === "sha256sum") this.#archiveDigest = value.toLowerCase();
    if (part.fieldname === "instance") this.#instance = value;
    return undefined;
  }

  /** Its digest and even the signature may follow: one file of an agent that knows the session is taken until then. */
  async #receiveArchive(part: MultipartFile): Promise<ReceivedFile> {
    if (this.#archive) throw new UploadError(400, "there is more than one archive");
    const incoming = await this.#controller.blobs.receive(part.file);
    this.#archive = { name: part.filename.replace(/^.*\//s, ""), incoming };
    if (!part.file.truncated) return this.#archive;
    await incoming[Symbol.asyncDispose]();
    throw new UploadError(413, `the archive '${visible(this.#archive.name)}' is too large`);
  }

  async #receive(part: MultipartFile): Promise<ReceivedFile> {
    this.#authenticate();
    const name = part.filename;
    if (!isFileName(name))
      throw new UploadError(400, `a file has no usable name: ${JSON.stringify(visible(name))}`);
    const digest = this.#digest;
    this.#digest = undefined;
    if (digest === undefined || !/^[0-9a-f]{64}$/.test(digest))
      throw new UploadError(400, `there is no SHA-256 in a field 'sha256' before the file '${name}'`);
    const incoming = await this.#controller.blobs.receive(part.file);
    if (part.file.truncated || incoming.digest !== digest) {
      await incoming[Symbol.asyncDispose]();
      if (part.file.truncated) throw new UploadError(413, `the file '${name}' is too large`);
      throw new UploadError(400, `the content of '${name}' does not have the SHA-256 announced`);
    }
    return { name, incoming };
  }

  /** Checks what can be known only when all is there. */
  finish(): void {
    this.#authenticate();
    if (!this.#archive) return;
    if (!this.#instance) throw new UploadError(400, "there is no instance");
    const { name, incoming } = this.#archive;
    if (incoming.digest !== this.#archiveDigest)
      throw new UploadError(422, "the archive does not have the SHA-256 in the field 'sha256sum'");
    // Archives of different instances may have one name.
    this.#archive.name = name.startsWith(this.#instance) ? name : `${this.#instance}/${name}`;
    if (!isFileName(this.#archive.name))
      throw new UploadError(400, `the archive has no usable name: ${JSON.stringify(visible(name))}`);
  }

  #authenticate(): void {
    this.#authentic ||= isAuthentic(this.#controller, this.#session, this.#signature);
    if (!this.#authentic) throw new UploadError(401, "the challenge is not signed with the agent's key");
  }
}

/** Control characters, those that turn the direction of what follows, and others that end lines or paths elsewhere. */
const misleading = new RegExp(`[\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029${turning}\\\\]`);

/** A path inside of the artifacts, shown to people and made a name to save under. */
function isFileName(name: string): boolean {
  if (name.length === 0 || name.length > 500 || name.startsWith("/")) return false;
  if (misleading.test(name)) return false;
  return name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
