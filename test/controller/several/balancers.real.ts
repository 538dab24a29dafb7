/** A build's life through a balancer, as the manual has it configured, while the controllers behind it die in turn. */
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run } from "../../../os/run.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { balancerKinds, startBalancer } from "../../fixtures/services/balancers.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { freePort } from "../../fixtures/ports.ts";
import { simulateAgent } from "../../fixtures/simulated-agent.ts";
import { sendArtifact, sendLiveLog } from "../../fixtures/simulated-work.ts";
import { noPostgres, startPostgres } from "../database/postgres.ts";
import {
  beginUpload,
  makeFarm,
  postTaskRequest,
  readBuild,
  receivedTask,
  sendResult,
  submit,
  type Farm,
  type RunningController,
} from "../farm.ts";
import { until } from "../until.ts";
import { Reader } from "./reader.ts";
import { makeCertificate } from "../../fixtures/services/certificate.ts";

describe("two controllers behind a balancer", { skip: noPostgres, timeout: patienceMs }, () => {
  const stack = new AsyncDisposableStack();
  const addresses: [string, string] = ["", ""];
  let farm: Farm;
  let controllers: RunningController[];
  let port: number;
  let url: string;
  before(async () => {
    const { url: database } = stack.use(await startPostgres());
    port = await freePort();
    url = `http://127.0.0.1:${port}`;
    for (const index of [0, 1]) addresses[index] = `127.0.0.1:${await freePort()}`;
    const settings = ["trusted-proxies: [127.0.0.1]", `public-url: ${url}`, "drain: 4"];
    farm = stack.use(await makeFarm([`database: ${database}`, ...settings, ""].join("\n")));
    controllers = await Promise.all(addresses.map((address) => farm.start("--listen", address)));
  });
  after(() => stack.disposeAsync());

  async function restart(index: number): Promise<void> {
    controllers[index] = await farm.start("--listen", addresses[index]!);
  }

  for (const kind of balancerKinds)
    test(
      `${kind.name}: a build, its artifact and its reader outlive each controller; nothing comes twice or is missing`,
      { skip: kind.absent },
      async () => {
        await using _balancer = await startBalancer(kind, { port, controllers: addresses });
        await using directory = await temporaryDirectory("croft-test-balanced-");
        const over = new AbortController();
        const content = Buffer.alloc(3 << 20, kind.name);
        const pieces = ["one\n", "two ü\n", "three\n"];
        const stored = Promise.withResolvers<void>();
        const id = await submit(url);
        const reader = new Reader(url, id, over.signal);
        const turns = [
          () => controllers[0]!.end("SIGKILL"),
          async () => {
            await restart(0);
            await controllers[1]!.end("SIGKILL");
          },
          () => restart(1),
        ];
        let digest: string | undefined;
        const agent = simulateAgent(
          {
            ...{ name: "host", machine: "debian_13", urls: [url] },
            given: async (received) => {
              await sendLiveLog(received, pieces, async (written) => {
                await Promise.race([reader.done, until(async () => reader.logs.get(1) === written, written)]);
                await turns.shift()!();
              });
              digest = await sendArtifact(received, join(directory.path, "a"), content, over.signal);
            },
            told: (_received, how) =>
              how === "stored" ? stored.resolve() : stored.reject(new Error(`the result got ${how}`)),
          },
          over.signal,
        );
        try {
          await stored.promise;
          await reader.done;
        } finally {
          over.abort();
          await agent;
        }
        assert.equal(reader.status, "success");
        assert.deepEqual([...reader.logs], [[1, pieces.join("")]]);
        assert.ok(reader.breaks > 0, "the reader's controller died");
        const build = await readBuild(url, id);
        assert.equal(build.attempts.length, 1);
        assert.equal(build.artifacts[0]!.sha256, digest);
        assert.ok(build.artifacts[0]!.url.startsWith(url));
        const artifact = await fetch(build.artifacts[0]!.url);
        assert.ok(content.equals(Buffer.from(await artifact.arrayBuffer())));
        assert.equal(
          await (await fetch(`${url}/api/v1/builds/${id}/log?operation=update`)).text(),
          "built hello\n",
        );
      },
    );

  for (const kind of balancerKinds)
    test(
      `${kind.name}: of an upload whose agent dies in the middle nothing is left; the next life of the agent sends it again`,
      { skip: kind.absent },
      async () => {
        await using _balancer = await startBalancer(kind, { port, controllers: addresses });
        await using directory = await temporaryDirectory("croft-test-balanced-");
        const content = Buffer.alloc(300_000, "whole");
        const id = await submit(url);
        const received = await receivedTask(await postTaskRequest(url));
        const upload = beginUpload(received.uploadUrls["artifact"]!, content.toString().slice(9));
        const incoming = join(farm.directory, "data", "incoming");
        await until(async () => (await readdir(incoming)).length > 0, "the file to begin");
        upload.destroy();
        await until(async () => (await readdir(incoming)).length === 0, "the file to go");
        const path = join(directory.path, "a");
        const { signal } = new AbortController();
        const digest = await sendArtifact({ response: received }, path, content, signal);
        assert.equal((await sendResult(received, "success")).status, 204);
        const { status, artifacts } = await readBuild(url, id);
        assert.deepEqual([status, artifacts.map(({ sha256 }) => sha256)], ["success", [digest]]);
      },
    );

  const [haproxy] = balancerKinds;
  test(
    "haproxy: whoever comes while a controller says that it ends is sent to the other one; nobody is refused",
    { skip: haproxy!.absent },
    async () => {
      await using _balancer = await startBalancer(haproxy!, { port, controllers: addresses });
      let isOver = false;
      const ending = controllers[0]!.end("SIGTERM").then(() => (isOver = true));
      const ids = new Set<number>();
      while (!isOver || ids.size < 50) ids.add(await submit(url));
      await ending;
      assert.equal((await fetch(`${url}/readyz`)).status, 200);
      await restart(0);
    },
  );

  for (const kind of balancerKinds)
    test(`${kind.name}: they are reached by TLS and HTTP/2`, { skip: kind.absent }, async () => {
      await using directory = await temporaryDirectory("croft-test-balanced-");
      const at = (name: string) => join(directory.path, name);
      await makeCertificate({ key: at("farm.key"), cert: at("ca.pem") }, "DNS:localhost");
      await writeFile(
        at("farm.pem"),
        [await readFile(at("ca.pem")), await readFile(at("farm.key"))].join(""),
      );
      const place = { port, controllers: addresses, certificates: directory.path };
      await using _balancer = await startBalancer(kind, place);
      const curl = ["curl", "-sS", "--cacert", at("ca.pem"), "-w", "%{http_version}"];
      const { stdout } = await run([...curl, "-w", "%{http_version}", `https://localhost:${port}/readyz`], {
        timeoutSeconds: patienceSeconds,
      });
      assert.equal(stdout, "ok\n2");
    });
});
