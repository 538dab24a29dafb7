/** Configuration, blobs and live logs. */
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { after, before, describe, mock, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { BlobStore } from "../../controller/files/blobs.ts";
import { DirectoryStorage } from "../../controller/files/directory-storage.ts";
import { parseListen, readControllerConfiguration } from "../../controller/configuration.ts";
import { openDataDirectory, type DataDirectory } from "../../controller/files/data-directory.ts";
import { LiveLogs } from "../../controller/files/live-logs.ts";
import { UsageFailure } from "../../os/failure.ts";
import { silentLog } from "../../os/log.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../os/files/temporary.ts";
import { patienceMs } from "../fixtures/patience.ts";

test("a data directory that cannot be made is refused", { timeout: patienceMs }, async () => {
  await assert.rejects(
    openDataDirectory("/proc/croft/data", true, silentLog()),
    /^Failure: Cannot use data directory '\/proc\/croft\/data': no such file or directory$/,
  );
});

describe("a configuration", () => {
  let directory: TemporaryDirectory;
  before(async () => void (directory = await temporaryDirectory("croft-test-controller-")));
  after(() => directory[Symbol.asyncDispose]());

  const read = async (text: string) => {
    const config = join(directory.path, "controller.yaml");
    await writeFile(config, text);
    return readControllerConfiguration({ config });
  };

  test("has a target and defaults where nothing is said", async () => {
    const { targets, listen, retries, logLimitBytes, uploadTypes } = await read("");
    assert.deepEqual(listen, { host: "127.0.0.1", port: 8420 });
    assert.deepEqual(
      targets.map(({ name, machine }) => [name, machine]),
      [["default", "*"]],
    );
    assert.equal(retries, 2);
    assert.equal(logLimitBytes, 64 * 1024 * 1024);
    assert.deepEqual(uploadTypes, ["artifact", "package", "report"]);
  });

  test("gives way to the command line, and reads sizes with units", async () => {
    const config = join(directory.path, "controller.yaml");
    await writeFile(config, "listen: 0.0.0.0:1\nlog-limit: 3K\npublic-url: https://farm.example/\n");
    const { listen, logLimitBytes, publicUrl } = readControllerConfiguration({ config, listen: "[::1]:99" });
    assert.deepEqual(listen, { host: "::1", port: 99 });
    assert.equal(logLimitBytes, 3072);
    assert.equal(publicUrl, "https://farm.example");
  });

  test("that is wrong is refused with file, line, column and key", async () => {
    const cases: [string, RegExp][] = [
      ["listen: 127.0.0.1:80\nlogs: 3\n", /controller\.yaml:2:1: logs: unknown key/],
      ["targets:\n  - name: a\n    timeout: soon\n", /controller\.yaml:3:5: targets\.0\.timeout: /],
      ["targets:\n  - name: a\n  - name: a\n", /'a': it is configured twice/],
      ["tokens:\n  - name: a\n    sha256: abc\n", /controller\.yaml:3:5: /],
      ["listen: nowhere\n", /Cannot listen on 'nowhere'/],
    ];
    for (const [text, expected] of cases)
      await assert.rejects(
        read(text),
        (error) => error instanceof UsageFailure && expected.test(error.message),
        text,
      );
    for (const bad of ["1.2.3.4", "::1:80", "a:70000", ""])
      assert.throws(() => parseListen(bad), UsageFailure);
  });
});

describe("files of a controller", () => {
  let temporary: TemporaryDirectory;
  let directory: DataDirectory;
  before(async () => {
    temporary = await temporaryDirectory("croft-test-controller-");
    directory = await openDataDirectory(temporary.path, true, silentLog());
  });
  after(async () => {
    await directory[Symbol.asyncDispose]();
    await temporary[Symbol.asyncDispose]();
  });

  test("a blob has its name once it is whole; one that is not kept leaves nothing", async () => {
    const storage = new DirectoryStorage(directory.blobs);
    const blobs = new BlobStore(directory, storage, { query: () => Promise.resolve([]) });
    const content = Buffer.alloc(3_000_000, "blob");
    const { digest, bytes } = await blobs.store(content);
    assert.equal(digest, createHash("sha256").update(content).digest("hex"));
    assert.equal(bytes, content.length);
    assert.deepEqual(await readFile(storage.path(digest)), content);
    assert.equal((await blobs.store(content)).digest, digest);
    await assert.rejects(
      blobs.receive(
        (async function* () {
          yield Buffer.from("half");
          throw new Error("gone");
        })(),
      ),
    );
    await (await blobs.receive([Buffer.from("unwanted")]))[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(directory.incoming), []);
  });

  test("chunks of one live log that come at once are taken one after the other", async () => {
    const logs = new LiveLogs(directory, 1_000_000);
    const chunks = Array.from({ length: 50 }, (_, index) => ({
      offset: index * 10,
      text: `${index}`.padEnd(10, "."),
    }));
    const outcomes = await Promise.all(
      chunks.map(({ offset, text }) => logs.append(1, offset, Buffer.from(text))),
    );
    assert.ok(outcomes.every((outcome) => "appended" in outcome && outcome.appended === 10));
    assert.equal((await logs.read(1, 0)).toString(), chunks.map(({ text }) => text).join(""));
    assert.deepEqual(await logs.append(1, 501, Buffer.from("x")), { expectedOffset: 500 });
    assert.deepEqual(await logs.append(1, 495, Buffer.from("x")), { appended: 0 });
    assert.equal((await logs.read(2, 0)).length, 0);
  });

  test("a secret is masked in a live log, however chunks cut it, and offsets count what was sent", async () => {
    const secrets = ["ci:s3cr3t", "s3cr3t"];
    const text = Buffer.from("+ curl https://ci:s3cr3t@host/x\nit is s3cr3t, s3cr3s s3cr");
    const shown = "+ curl https://*********@host/x\nit is ******, s3cr3s ****";
    const logs = new LiveLogs(directory, 1_000_000);
    for (let size = 1; size < 12; size++) {
      const session = 100 + size;
      for (let offset = 0; offset < text.length; offset += size) {
        const chunk = text.subarray(offset, offset + size);
        assert.deepEqual(await logs.append(session, offset, chunk, secrets), { appended: chunk.length });
        assert.doesNotMatch((await logs.read(session, 0)).toString(), /s3cr3t|:s3|ci:/);
        // Sent again, as when the answer was lost
        assert.deepEqual(await logs.append(session, offset, chunk, secrets), { appended: 0 });
      }
      await logs.finish(session);
      assert.equal((await logs.read(session, 0)).toString(), shown, `pieces of ${size}`);
    }
  });

  test("of another host that has this one's name, a container's for instance, no lock is taken for a dead one's", async () => {
    const shared = join(temporary.path, "shared");
    mkdirSync(join(shared, "lock.d"), { recursive: true, mode: 0o700 });
    writeFileSync(join(shared, "lock"), `pid 1 on ${hostname()}, boot ${randomUUID()}\n`);
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      let isOver = false;
      const opening = openDataDirectory(shared, true, silentLog()).finally(() => (isOver = true));
      const refused = assert.rejects(opening, /another controller holds it \(pid 1 on /);
      while (!isOver) {
        mock.timers.tick(1000);
        await setImmediate();
      }
      await refused;
    } finally {
      mock.timers.reset();
    }
  });

  test("a second controller in the same process group is refused", async () => {
    await assert.rejects(
      openDataDirectory(temporary.path, true, silentLog()),
      /another controller holds it \(pid \d+ on /,
    );
  });
});
