/** Badges as a browser or a forge's proxy gets them. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { OpenController } from "../../../controller/controller.ts";
import { startServer } from "../../../controller/server.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { makeKey, token, writeKeys } from "../authentication/proof.ts";
import { endNext } from "../built.ts";
import { databaseKinds, openFarm } from "../in-process.ts";

const targets = "targets: [{ name: one }, { name: two }]\n";

for (const [kind, skip] of databaseKinds)
  describe(`badges, with the database ${kind}`, { skip }, () => {
    const resources = new AsyncDisposableStack();
    let controller: OpenController;
    let url = "";
    before(async () => {
      controller = resources.use(await openFarm(kind, `listen: 127.0.0.1:0\n${targets}`));
      ({ url } = resources.use(await startServer(controller)));
    });
    after(() => resources.disposeAsync());

    const submit = async (name: string, target: string) => {
      const what = { name, version: "1.0", repository: "https://x.org/x.git", priority: 0 };
      return (await controller.builds.submit({ ...what, targets: [target] }, null))[0]!.id;
    };
    const shown = async (path: string) => {
      const answer = await fetch(`${url}/badge/${path}`);
      const text = await answer.text();
      return answer.status === 200 ? /<title>([^<]*)<\/title>/.exec(text)![1] : answer.status;
    };

    test("tell the worst of what the last build for each target has ended with, or that of one target", async () => {
      assert.equal(await shown("hello.svg"), 404);
      await submit("hello", "one");
      assert.equal(await shown("hello.svg"), "hello: no build yet");
      await endNext(controller, "error");
      await submit("hello", "two");
      await endNext(controller, "success");
      assert.equal(await shown("hello.svg"), "hello: error");
      assert.equal(await shown("hello.svg?target=two"), "hello two: success");
      await submit("hello", "one"); // what is being built changes nothing yet
      assert.equal(await shown("hello.svg"), "hello: error");
      await endNext(controller, "warning");
      assert.equal(await shown("hello.svg"), "hello: warning");
      assert.equal(await shown("hello.svg?target=three"), 404);
      assert.equal(await shown("hello.svg?targets=one"), 400);
      assert.equal(await shown("other.svg"), 404);
    });

    test("tell nothing of builds that are not for them", async () => {
      await submit("apart", "one");
      await endNext(controller, "success");
      const id = await submit("apart", "one");
      await controller.database.query("update croft.builds set on_badge = false where id = $1", [id]);
      await endNext(controller, "error");
      assert.equal(await shown("apart.svg"), "apart: success");
    });

    test("are asked for anew each time, and sent only when they have changed", async () => {
      await submit("kept", "one");
      await endNext(controller, "success");
      const first = await fetch(`${url}/badge/kept.svg`);
      assert.equal(first.headers.get("content-type"), "image/svg+xml; charset=utf-8");
      assert.equal(first.headers.get("cache-control"), "no-cache");
      const tag = first.headers.get("etag")!;
      for (const known of [tag, `W/${tag}`, `"x", ${tag}`, "*"]) {
        const again = await fetch(`${url}/badge/kept.svg`, { headers: { "if-none-match": known } });
        assert.equal(again.status, 304, known);
        assert.equal(await again.text(), "");
      }
      await submit("kept", "one");
      await endNext(controller, "error");
      const changed = await fetch(`${url}/badge/kept.svg`, { headers: { "if-none-match": tag } });
      assert.equal(changed.status, 200);
      assert.match(await changed.text(), /kept: error/);
    });
  });

test("badges of a private controller: seen with a token, in a URL only with one for reading; else as if there were none", async () => {
  await using directory = await temporaryDirectory("croft-test-badges-");
  const keys = writeKeys(directory.path, makeKey());
  const configuration = `listen: 127.0.0.1:0\nprivate: true\nagents: { keys: ${keys} }\n${token.configuration}`;
  await using controller = await openFarm("embedded", configuration);
  await using server = await startServer(controller);
  const what = { name: "hello", version: "1.0", repository: "https://x.org/x.git", priority: 0 };
  await controller.builds.submit({ ...what, targets: ["*"] }, null);
  const ask = (path: string, headers = {}) => fetch(`${server.url}/badge/${path}`, { headers });
  const reading = await controller.tokens.create("readme", "read");
  const submitting = await controller.tokens.create("bob", "submit");
  const missing = await ask("other.svg");
  const nothing = [missing.status, await missing.text()];
  for (const path of ["hello.svg", "hello.svg?token=wrong", `hello.svg?token=${submitting}`]) {
    const answer = await ask(path);
    assert.deepEqual([answer.status, await answer.text()], nothing, path);
    assert.equal(answer.headers.get("cache-control"), "no-store");
  }
  for (const answer of [await ask("hello.svg", token.headers), await ask(`hello.svg?token=${reading}`)]) {
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("cache-control"), "private, no-cache");
    assert.equal(answer.headers.get("vary"), "authorization, cookie");
  }
});
