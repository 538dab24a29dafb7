/** Whole requests for an agent's status pages that are not answered soon. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { AgentMetrics } from "../../../agent/status/metrics.ts";
import { startStatusServer } from "../../../agent/status/status-server.ts";
import { Status } from "../../../agent/status/status.ts";
import { SpoolMeter } from "../../../agent/task-state/spool-size.ts";
import { silentLog } from "../../../os/log.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { makeSettings } from "../settings/make-settings.ts";

/** A spool whose size takes as long to be told as a test wants. */
class SlowMeter extends SpoolMeter {
  readonly told = Promise.withResolvers<void>();

  override async size() {
    await this.told.promise;
    return super.size();
  }
}

test("whoever asks for more at a time than one address gets is told so, and others are served meanwhile", async () => {
  const settings = makeSettings({ runtime: "/nonexistent/run" }, ["http://127.0.0.1:1/"]);
  using status = new Status(silentLog(), false);
  const spoolMeter = new SlowMeter("/nonexistent/spool");
  const metrics = new AgentMetrics(settings, status, spoolMeter);
  const ofAgent = { hostName: "h", workerVersion: undefined, signer: undefined };
  const reported = { ...ofAgent, settings, status, metrics, spoolMeter };
  const listen = { address: "127.0.0.1", port: 0 };
  await using server = await startStatusServer(listen, reported, silentLog());
  const port = Number(new URL(server.url).port);
  const ask = async (path: string, localAddress: string) => {
    const socket = connect({ port, host: "127.0.0.1", localAddress });
    await once(socket, "connect");
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    return await text(socket);
  };
  const until = async (words: RegExp, path: string, localAddress: string) => {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const answer = await ask(path, localAddress);
      if (words.test(answer)) return;
      assert.ok(performance.now() < deadline, `no ${words}: ${answer}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  let isOver = false;
  // The server cuts off who takes too long: then it is asked again.
  const slow = Array.from({ length: 16 }, async () => {
    while (!isOver) await ask("/status", "127.0.0.1").catch(() => "");
  });
  await until(
    /^HTTP\/1\.1 429 .*\r\nRetry-After: 1\r\n.*\r\n\r\n16 requests of your address are being answered/s,
    "/healthz",
    "127.0.0.1",
  );
  assert.match(await ask("/healthz", "127.0.0.2"), /^HTTP\/1\.1 (200|503) /);
  isOver = true;
  spoolMeter.told.resolve();
  await Promise.all(slow);
  await until(/^HTTP\/1\.1 200 /, "/status", "127.0.0.1");
});
