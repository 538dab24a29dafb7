/** What is different from forge to forge. */
import type { IncomingHttpHeaders } from "node:http";
import type { ForgeEvent, Ignored } from "./event.ts";
import type { StatusApi } from "./status-apis.ts";

/** The request of a hook, as it came. */
export interface HookRequest {
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** The JSON of the event, which may have come in a form; `undefined` if there is none. */
  json: string | undefined;
}

/** How a forge sends its hooks. */
export interface Forge {
  /** What a request must have to be looked at; nothing is read from who has not. */
  readonly proofHeaders: readonly string[];
  /** Whether who sent it knows the hook's secret. */
  isAuthentic(request: HookRequest, secret: string): boolean;
  /** What the forge calls this request, the same if it sends it again; undefined if it does not say. */
  deliveryOf(headers: IncomingHttpHeaders): string | undefined;
  /**
   * What happened.
   *
   * @throws {PayloadError} if it is nothing that the forge would send.
   */
  read(headers: IncomingHttpHeaders, payload: unknown): ForgeEvent | Ignored;
  /** The reference under which the repository has a pull request's commits. */
  pullReference(number: string): string;
  /** How it is told what became of a commit. */
  readonly statuses: StatusApi;
}

/** The value of a header that comes once. */
export function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}
