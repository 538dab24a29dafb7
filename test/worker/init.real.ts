import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { anyone } from "../../agent/tftp/requesters.ts";
import { TftpServer } from "../../agent/tftp/server.ts";
import { silentLog } from "../../os/log.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { startVirtualMachine } from "../../machines/qemu/start.ts";
import { copyMachine, minimalMachine } from "../fixtures/machines/images.ts";
import { patienceMs } from "../fixtures/patience.ts";

test("a machine that waits for its worker ends when the power button is pressed", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const at = (name: string) => join(directory.path, name);
  for (const name of ["get", "put", "run"]) await mkdir(at(name));
  await copyMachine(await minimalMachine(), at("snapshot"));
  const log = silentLog();
  await using server = await TftpServer.start({
    ...{
      address: "127.0.0.1",
      port: 0,
      readable: at("get"),
      writable: at("put"),
      requesters: anyone,
      uploadMaxBytes: 1_000_000,
      log,
    },
  });
  const asked = once(server, "request", { signal: AbortSignal.timeout(patienceMs) });
  await using machine = await startVirtualMachine({
    ...{
      name: "waiting",
      directory: at("snapshot"),
      runtimeDirectory: at("run"),
      mac: "52:54:00:0a:0b:0d",
      log,
    },
    machine: { id: "waiting-1", name: "waiting", summary: "a machine", type: "kvm" },
    ...{ network: { kind: "user", tftpPort: server.port }, cpus: 1, ramKiB: 256 * 1024, accel: "auto" },
  });
  const [request] = (await asked) as [{ method: string; name: string }];
  assert.deepEqual([request.method, request.name], ["get", "worker"]);
  assert.equal(await machine.wait(0.1), undefined);
  assert.equal(await machine.shutdown(120), true);
  assert.equal((await machine.ended).how, "shutdown");
});
