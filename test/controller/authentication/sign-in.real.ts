/** People on the pages: signing in with a token, what each may change there, and what another site's page may not. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Role } from "../../../controller/authentication/tokens.ts";
import type { OpenController } from "../../../controller/controller.ts";
import { startServer } from "../../../controller/server.ts";
import { databaseKinds, openFarm } from "../in-process.ts";
import { Visitor } from "../dashboard/visitor.ts";
import { token } from "./proof.ts";

for (const [kind, skip] of databaseKinds)
  describe(`people on the pages, with the database ${kind}`, { skip }, () => {
    const resources = new AsyncDisposableStack();
    let controller: OpenController;
    let url = "";
    before(async () => {
      controller = resources.use(await openFarm(kind, `listen: 127.0.0.1:0\n`));
      ({ url } = resources.use(await startServer(controller)));
    });
    after(() => resources.disposeAsync());

    const person = async (name: string, role: Role) => await controller.tokens.create(name, role);
    const submission = { repository: "https://x.org/hello.git#main" };

    test("need no token while there is none, but a form of ours", async () => {
      const anybody = new Visitor(url);
      const form = await anybody.form("/submit");
      assert.equal((await anybody.send("/submit", { ...submission, form })).to, "/builds/1");
      assert.equal((await controller.builds.find(1))!.name, "hello");
      assert.equal((await anybody.send("/submit", submission)).status, 403);
      for (const origin of ["https://evil.example", "null"])
        assert.equal(
          (await anybody.send("/submit", { ...submission, form }, { origin })).status,
          403,
          origin,
        );
    });

    test("sign in with a token, which opens what its role is for, until they sign out", async () => {
      const given = await person("ann", "submit");
      const ann = new Visitor(url);
      assert.match((await ann.get("/builds/1")).text, /href="\/sign-in"/);
      assert.doesNotMatch((await ann.get("/builds/1")).text, /action="\/builds\/1\//);
      assert.equal((await ann.send("/builds/1/cancel", { form: await ann.form("/sign-in") })).status, 401);
      const wrong = await ann.signIn("croft_wrong");
      assert.deepEqual([wrong.status, wrong.set], [401, null]);
      const entered = await ann.signIn(` ${given} `);
      assert.equal(entered.to, "/builds/1");
      assert.match(entered.set!, /^croft=[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax$/);
      const { text } = await ann.get("/builds/1");
      assert.match(text, /action="\/builds\/1\/cancel"/);
      const form = await ann.form();
      assert.equal((await ann.send("/builds/1/cancel", { form: `${form}x` })).status, 403);
      assert.equal(
        (await ann.send("/builds/1/cancel", { form: await new Visitor(url).form("/sign-in") })).status,
        403,
      );
      assert.equal((await controller.builds.find(1))!.state, "queued");
      assert.equal((await ann.send("/builds/1/cancel", { form })).to, "/builds/1");
      assert.equal((await controller.builds.find(1))!.state, "cancelled");
      assert.equal((await ann.send("/builds/1/cancel", { form })).status, 409);
      assert.equal((await ann.send("/builds/1/rebuild", { form })).to, "/builds/2");
      assert.equal((await controller.builds.find(2))!.submitted_by, "ann");
      assert.equal((await ann.send("/builds/99/rebuild", { form })).status, 404);
      const kept = ann.cookie;
      assert.equal((await ann.send("/sign-out", { form })).to, "/builds");
      ann.cookie = kept;
      assert.equal((await ann.send("/builds/2/cancel", { form })).status, 401);
    });

    test("see no way to change what their token is not for", async () => {
      const reader = new Visitor(url);
      const given = await person("rita", "read");
      await reader.signIn(given);
      assert.doesNotMatch((await reader.get("/builds/2")).text, /action="\/builds|href="\/submit"/);
      assert.equal((await reader.send("/builds/2/cancel", { form: await reader.form() })).status, 403);
      const answer = await fetch(`${url}/api/v1/builds/2/cancel`, {
        method: "POST",
        headers: { authorization: `Bearer ${given}` },
      });
      assert.equal(answer.status, 403);
      assert.match(await answer.text(), /'rita' is for reading only/);
    });

    test("are strangers at once when their token is revoked, and its name is free again", async () => {
      const bob = new Visitor(url);
      await bob.signIn(await person("bob", "admin"));
      const form = await bob.form();
      await assert.rejects(person("bob", "read"), /Cannot create token 'bob': there is one of this name/);
      await controller.tokens.revoke("bob");
      assert.equal((await bob.send("/builds/2/cancel", { form })).status, 401);
      await assert.rejects(controller.tokens.revoke("bob"), /Cannot revoke token 'bob': there is none/);
      await person("bob", "read");
      const names = (await controller.tokens.list()).map(({ name, role }) => `${name} ${role}`);
      assert.deepEqual(names, ["ann submit", "bob read", "rita read"]);
    });

    test("are told what is wrong with a submission, and lose nothing of what they filled in", async () => {
      const carl = new Visitor(url);
      await carl.signIn(await person("carl", "trusted"));
      const form = await carl.form();
      const cases: [fields: Record<string, string>, reason: RegExp][] = [
        [{ repository: "/srv/x.git" }, /is local; agents build from a URL only/],
        [{ ...submission, name: "a b" }, /name: there are characters in it that may not be there/],
        [{ ...submission, targets: "none" }, /there is no target 'none'[^]*Targets: default/],
        [{}, /the repository's URL is missing/],
      ];
      for (const [fields, reason] of cases) {
        const { status, text } = await carl.send("/submit", { ...fields, version: `"<1>`, form });
        assert.equal(status, 400);
        const shown = text.replaceAll("&#39;", "'").replaceAll(/<[^>]*>/g, "");
        assert.match(shown, reason);
        assert.match(text, /value="&quot;&lt;1&gt;"/);
      }
    });

    test("may not try tokens without end", async () => {
      const guesser = new Visitor(url);
      const statuses: number[] = [];
      for (let count = 0; count < 11; count++) statuses.push((await guesser.signIn(`croft_${count}`)).status);
      assert.equal(statuses.at(-1), 429);
    });
  });

test("a page leads to nowhere else after signing in, nor is a token sent over plain http", async () => {
  await using controller = await openFarm("embedded", `listen: 127.0.0.1:0\n${token.configuration}`);
  await using server = await startServer(controller);
  const ann = new Visitor(server.url);
  for (const to of ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"]) {
    const form = await ann.form("/sign-in");
    assert.equal((await ann.send("/sign-in", { form, token: "secret", to })).to, "/builds", to);
    ann.cookie = "";
  }
  await using open = await openFarm("embedded", `listen: 0.0.0.0:0\n${token.configuration}`);
  await using reached = await startServer(open);
  const far = new Visitor(reached.url.replace("0.0.0.0", "127.0.0.1"));
  assert.match((await far.get("/sign-in")).text, /reached by plain http/);
  assert.doesNotMatch((await far.get("/builds")).text, /sign-in/);
  assert.equal((await far.send("/sign-in", { token: "secret" })).status, 403);
});
