/**
 * Who receives webhooks, and checks what it is sent as https://www.standardwebhooks.com says: the signature over the bytes that came,
 * and that the time in it is of the last five minutes.
 */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/** What came, as it was. */
export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface ReceiverDouble extends AsyncDisposable {
  readonly url: string;
  /** All requests, first to last. */
  readonly received: Received[];
  /** Those whose signature is right. */
  readonly taken: Received[];
  /** Answers the next requests in place of it, one after the other. */
  readonly instead: ((response: ServerResponse) => void)[];
}

/** Starts one, which wants signatures of whatever comes to `/signed`. */
export async function startReceiver(): Promise<ReceiverDouble> {
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces).toString();
    const one = { path: request.url!, headers: request.headers, body };
    double.received.push(one);
    const instead = double.instead.shift();
    if (instead) return instead(response);
    if (one.path.startsWith("/signed") && !isSigned(one)) return void response.writeHead(401).end();
    double.taken.push(one);
    return void response.writeHead(204).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const double: ReceiverDouble = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received: [],
    taken: [],
    instead: [],
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return double;
}

function isSigned({ headers, body }: Received): boolean {
  const { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": signature } = headers;
  if (Math.abs(Date.now() / 1000 - Number(time)) > 300) return false;
  const key = Buffer.from(webhookSecret.replace("whsec_", ""), "base64");
  const wanted = createHmac("sha256", key)
    .update(`${String(id)}.${String(time)}.${body}`)
    .digest("base64");
  return signature === `v1,${wanted}`;
}
