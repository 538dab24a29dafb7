/** Sends a result request; of one that is too large for its controller, though not for us, that gets what it takes. */
import type { Log } from "../../os/log.ts";
import { MiB } from "../../os/text/size.ts";
import { Rejection } from "../wire/answers.ts";
import type { HttpClient, RequestLimits } from "../wire/http.ts";
import { withChange } from "./changed-request.ts";

/** To what sizes a request is cut, one after the other; controllers of other makes take 10 MiB, if nothing else is said. */
const lesserSizes = [50 * MiB, 8 * MiB, MiB, MiB / 16];

interface Posted {
  url: string;
  request: Uint8Array;
  headers: Record<string, string>;
}

/**
 * A controller's own 413 is the only thing that shows its limit.
 *
 * @throws as {@link HttpClient.postManifest} does, also if the least is too large.
 */
export async function postResult(
  { url, request, headers }: Posted,
  { client, log, limits }: { client: HttpClient; log: Log; limits: RequestLimits },
): Promise<void> {
  const lesser = lesserSizes.filter((bytes) => bytes < request.length);
  let sent = request;
  for (;;) {
    try {
      await client.postManifest(url, sent, limits, async () => headers);
      return;
    } catch (error) {
      const maxBytes = lesser.shift();
      if (!(error instanceof Rejection) || error.status !== 413 || maxBytes === undefined) throw error;
      log.warn({ reason: error.message, maxBytes }, "result too large for its controller: its logs are cut");
      sent = await withChange({ request, maxBytes });
    }
  }
}
