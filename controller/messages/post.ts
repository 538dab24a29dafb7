/** Posts a message, and reads of the answer what it says of itself. */
import { retryAfterSeconds } from "../../os/backoff.ts";
import { request as plainRequest, type RequestOptions } from "node:http";
import { request as secureRequest } from "node:https";
import { checkHost, lookupReachable } from "./reachable.ts";

/** A request to be made. */
interface Post {
  url: URL;
  headers: Record<string, string>;
  body: string;
  /** Whether it may go to this host or its own network. */
  isLocal: boolean;
  signal: AbortSignal;
}

/** What came back. */
export interface PostAnswer {
  status: number;
  /** How long the receiver wants not to be asked; 0 if it does not say. */
  retryAfterSeconds: number;
}

/** As much of an answer is read, so that a short one may use the connection's end as it likes; what it says is nobody's business. */
const answerBytes = 16 << 10;

/** Posts it: over a connection of its own, without following where it leads. @throws {Error} if there is no answer. */
export function post({ url, headers, body, isLocal, signal }: Post): Promise<PostAnswer> {
  if (!isLocal) checkHost(url);
  const options: RequestOptions = {
    method: "POST",
    headers: { ...headers, "content-length": Buffer.byteLength(body), "user-agent": "croft" },
    agent: false,
    signal,
    ...(isLocal ? {} : { lookup: lookupReachable }),
  };
  return new Promise((resolve, reject) => {
    const request = (url.protocol === "https:" ? secureRequest : plainRequest)(url, options);
    request.on("error", reject);
    request.on("response", (response) => {
      const answer = {
        status: response.statusCode ?? 0,
        retryAfterSeconds: retryAfterSeconds(response.headers["retry-after"]),
      };
      let bytes = 0;
      response.on("data", (piece: Buffer) => {
        bytes += piece.length;
        if (bytes > answerBytes) response.destroy();
      });
      response.on("error", () => resolve(answer)); // it has said what counts
      response.on("close", () => resolve(answer));
    });
    request.end(body);
  });
}
