/** What a machine does while it is waited for. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Exchange } from "../../../agent/performing/exchange.ts";
import { anyone } from "../../../agent/tftp/requesters.ts";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { put } from "../tftp/client.ts";

test("a machine that gives signs of life for ever is not waited for longer than a build may take", async () => {
  await using directory = await temporaryDirectory("croft-test-exchange-");
  const [readable, writable] = [join(directory.path, "get"), join(directory.path, "put")];
  await mkdir(readable);
  await mkdir(writable);
  await using exchange = await Exchange.start({
    ...{ readable, writable, address: "127.0.0.1", port: 0, uploadMaxBytes: 1024 ** 2 },
    ...{ requesters: anyone, log: silentLog() },
  });
  const never = new AbortController().signal;
  const timeoutSeconds = 2;
  let beats = 0;
  let isOver = false;
  const beat = async () => {
    for (; !isOver; beats++) await put(exchange.tftp.port, "beat", Buffer.from(`${beats}`));
  };
  const beating = beat();
  await exchange.waitForFirstRequest(600, never);
  const began = performance.now();
  const waited = await exchange.waitForUpload(["result.manifest"], timeoutSeconds, never);
  assert.deepEqual(waited, { kind: "timeout" });
  assert.ok(performance.now() - began >= timeoutSeconds * 1000 - 50);
  isOver = true;
  await beating;
  assert.ok(beats > 0);
});
