/** The end of a live log that its controller does not take in time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LiveLog } from "../../../agent/performing/live-log.ts";
import type { HttpClient } from "../../../agent/wire/http.ts";
import { silentLog } from "../../../os/log.ts";

test("the end of a live log that does not get through is marked as left out, and what never fitted, too", async () => {
  const taken: string[] = [];
  let stuck = false;
  const client: Pick<HttpClient, "postLog"> = {
    postLog: (_url, offset, chunk, signal) => {
      const text = Buffer.from(chunk).toString();
      if (stuck && !text.includes("left out"))
        return new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        });
      taken.push(`${offset}: ${text.slice(0, 60)}`);
      return Promise.resolve({ status: 204, headers: {}, body: Buffer.alloc(0) });
    },
  };
  {
    await using log = new LiveLog(client as HttpClient, "http://c/log", silentLog());
    log.write(Buffer.from("begin"));
    while (taken.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    stuck = true;
    log.write(Buffer.alloc(3_000_000, "x"));
    log.write(Buffer.alloc(3_000_000, "y"));
  }
  assert.equal(taken[0], "0: begin");
  assert.match(taken[1]!, /^5: \n\[\.\.\. 30000\d\d bytes left out of the live log \.\.\.\]\n$/);
});
