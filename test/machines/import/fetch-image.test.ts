import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { Failure } from "../../../os/failure.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { fetchImage } from "../../../machines/import/fetch-image.ts";
import { imageSource } from "../../../machines/import/source.ts";

const content = Buffer.concat([Buffer.from("disk"), Buffer.alloc(4 * 1024 * 1024), Buffer.from("end")]);
const sha256 = createHash("sha256").update(content).digest("hex");

const limits = { maxBytes: content.length, onProgress: () => {}, signal: new AbortController().signal };

/** A server that answers each path in its way. */
async function serve(answers: Record<string, (response: ServerResponse) => void>) {
  const server = createServer((request, response) => answers[request.url!]!(response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

test("a file is copied with what it has, without what is zero, and its checksum is told", async () => {
  await using directory = await temporaryDirectory("croft-test-import-");
  const [from, to] = [join(directory.path, "disk.raw"), join(directory.path, "copy")];
  writeFileSync(from, content);
  assert.equal(await fetchImage(imageSource(from), to, limits), sha256);
  assert.ok(readFileSync(to).equals(content));
  assert.ok(statSync(to).blocks * 512 < content.length / 2);
});

test("what is not as expected is refused: checksum, size, what is no file, or not there", async () => {
  await using directory = await temporaryDirectory("croft-test-import-");
  const from = join(directory.path, "disk.raw");
  writeFileSync(from, content);
  let copies = 0;
  const fails = (place: string, wanted: RegExp, options = {}, more = {}) =>
    assert.rejects(
      fetchImage(imageSource(place, options), join(directory.path, `copy${copies++}`), {
        ...limits,
        ...more,
      }),
      (error: unknown) => error instanceof Failure && wanted.test(error.message),
    );
  await fails(from, /its SHA-256 is [0-9a-f]{64}, and 0{64} was expected/, { sha256: "0".repeat(64) });
  await fails(from, /has more than 4\.0 MiB \(--max-size\)/, {}, { maxBytes: content.length - 1 });
  await fails("/dev/zero", /is no file/, { format: "raw" });
  await fails(join(directory.path, "none.raw"), /no such file/);
});

test("a download is bounded, whole, and stays where nobody can exchange it", async () => {
  await using directory = await temporaryDirectory("croft-test-import-");
  using server = await serve({
    "/disk.raw": (response) => response.end(content),
    "/gone.raw": (response) => response.writeHead(404).end("no such image"),
    "/cut.raw": (response) => {
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 1000), () => response.destroy());
    },
    "/endless.raw": (response) => {
      const more = () => response.write(content, (error) => (error ? undefined : more()));
      more();
    },
    "/moved.raw": (response) => response.writeHead(302, { location: "/disk.raw" }).end(),
  });
  let copies = 0;
  const fetch = (path: string) =>
    fetchImage(
      imageSource(`${server.url}${path}`, { sha256 }),
      join(directory.path, `copy${copies++}`),
      limits,
    );
  assert.equal(await fetch("/disk.raw"), sha256);
  assert.equal(await fetch("/moved.raw"), sha256);
  await assert.rejects(fetch("/gone.raw"), /Cannot import image 'gone\.raw': .*404/);
  await assert.rejects(fetch("/cut.raw"), Failure);
  await assert.rejects(fetch("/endless.raw"), /has more than 4\.0 MiB/);
  // As it would be redirected to by an https: URL without a checksum.
  const unchecked = {
    ...imageSource("disk.raw"),
    place: { kind: "url", url: new URL(`${server.url}/moved.raw`) },
  } as const;
  await assert.rejects(fetchImage(unchecked, join(directory.path, "moved"), limits), /redirected to http:/);
});

test("a download that is interrupted ends with the reason of that", async () => {
  await using directory = await temporaryDirectory("croft-test-import-");
  const interruption = new AbortController();
  using server = await serve({
    "/slow.raw": (response) => {
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 1000), () =>
        interruption.abort(new Failure("go on", "interrupted")),
      );
    },
  });
  const source = imageSource(`${server.url}/slow.raw`, { sha256 });
  const to = join(directory.path, "copy");
  await assert.rejects(
    fetchImage(source, to, { ...limits, signal: interruption.signal }),
    /go on: interrupted/,
  );
});
