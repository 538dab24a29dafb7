/** Pull requests: those of the repository's own branches are built, those of forks when somebody trusted has approved them. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { databaseKinds } from "../in-process.ts";
import { openHookFarm, type HookFarm } from "./farm.ts";
import { doubles, githubDouble, sendHook, type ForgeDouble, type Happening } from "./payloads.ts";

const aCommit = () => randomBytes(20).toString("hex");
let last = 0;
/** One that no test has had yet. */
const aPull = () => ({ kind: "pull-request", reference: String(++last), commit: aCommit() }) as const;

for (const [kind, skip] of databaseKinds)
  describe(`pull requests, with the database ${kind}`, { skip }, () => {
    const resources = new AsyncDisposableStack();
    let farm: HookFarm;
    const tokens: Record<string, string> = {};
    before(async () => {
      farm = resources.use(await openHookFarm(kind));
      for (const role of ["read", "submit", "trusted", "admin"] as const)
        tokens[role] = await farm.controller.tokens.create(role, role);
    });
    after(() => resources.disposeAsync());

    const send = (forge: ForgeDouble, happening: Happening, delivery = aCommit()) =>
      sendHook(farm.url, forge, happening, { delivery });
    const decide = async (id: number, what: string, who = "trusted") => {
      const headers = { authorization: `Bearer ${tokens[who]}` };
      const response = await fetch(`${farm.url}/api/v1/approvals/${id}/${what}`, { method: "POST", headers });
      const answer = (await response.json()) as {
        builds?: { id: number; repository: string }[];
        error?: string;
      };
      return { status: response.status, answer };
    };
    const waiting = async () => {
      const response = await fetch(`${farm.url}/api/v1/approvals`);
      return ((await response.json()) as { approvals: { id: number; author: string; from: string }[] })
        .approvals;
    };

    for (const forge of doubles) {
      test(`of ${forge.name}'s own branches are built at once, by the reference that the repository has them under`, async () => {
        const pull = aPull();
        const { status, answer } = await send(forge, pull);
        assert.equal(status, 201);
        const reference = `${forge.pullReference(pull.reference)}@${pull.commit}`;
        assert.equal(answer.builds![0]!.repository, `https://x.org/acme/hello.git#${reference}`);
        const { on_badge, event } = (await farm.controller.builds.find(answer.builds![0]!.id))!;
        assert.equal(on_badge, false);
        const query = "select trusted from croft.forge_events where id = $1";
        assert.deepEqual(await farm.controller.database.query(query, [event]), [{ trusted: false }]);
      });

      test(`of ${forge.name}'s forks wait for approval, and are built from the repository itself, without trust`, async () => {
        const pull = { ...aPull(), from: "eve/hello" };
        const { status, answer } = await send(forge, pull);
        assert.deepEqual([status, answer.waiting, answer.builds], [202, true, []]);
        const shown = (await waiting()).find(({ id }) => id === answer.event);
        assert.deepEqual([shown?.author, shown?.from], ["bob", "eve/hello"]);
        const approved = await decide(answer.event!, "approve");
        assert.equal(approved.status, 201);
        const reference = `${forge.pullReference(pull.reference)}@${pull.commit}`;
        assert.equal(approved.answer.builds![0]!.repository, `https://x.org/acme/hello.git#${reference}`);
        const { on_badge } = (await farm.controller.builds.find(approved.answer.builds![0]!.id))!;
        assert.equal(on_badge, false);
        const query = "select trusted, decided_by from croft.forge_events where id = $1";
        const rows = await farm.controller.database.query(query, [answer.event]);
        assert.deepEqual(rows, [{ trusted: false, decided_by: "trusted" }]);
      });
    }

    test("are approved and rejected by who has the role alone", async () => {
      const { answer } = await send(githubDouble, { ...aPull(), from: "eve/hello" });
      for (const what of ["approve", "reject"]) {
        for (const who of ["read", "submit"])
          assert.equal((await decide(answer.event!, what, who)).status, 403);
        assert.equal((await decide(answer.event!, what, "nobody")).status, 401);
      }
      assert.ok((await waiting()).some(({ id }) => id === answer.event));
      assert.equal((await decide(answer.event!, "approve", "admin")).status, 201);
    });

    test("are decided on once, also by two at the same time", async () => {
      const { answer } = await send(githubDouble, { ...aPull(), from: null });
      const all = await Promise.all(
        ["approve", "reject", "approve"].map((what) => decide(answer.event!, what)),
      );
      const codes = all.map(({ status }) => status).sort();
      assert.deepEqual(codes.slice(1), [409, 409]);
      const query = "select count(*)::integer as count from croft.builds where event = $1";
      const rows = await farm.controller.database.query(query, [answer.event]);
      assert.deepEqual(rows, [{ count: codes[0] === 201 ? 1 : 0 }]);
      assert.equal((await decide(2_000_000_000, "approve")).status, 404);
    });

    test("that get further commits wait anew: what was approved is one commit", async () => {
      const pull = { ...aPull(), from: "eve/hello" };
      const first = await send(githubDouble, pull);
      const second = await send(githubDouble, { ...pull, commit: aCommit(), action: "synchronized" });
      assert.equal(second.status, 202);
      assert.equal((await decide(first.answer.event!, "approve")).status, 409);
      assert.equal((await decide(second.answer.event!, "approve")).status, 201);
      const third = await send(githubDouble, { ...pull, commit: aCommit(), action: "synchronized" });
      assert.equal(third.status, 202);
      assert.equal((await decide(third.answer.event!, "reject")).status, 200);
    });

    test("that are told of again keep waiting, or stay decided on", async () => {
      const pull = { ...aPull(), from: "eve/hello" };
      const first = await send(githubDouble, pull, "again");
      const again = await send(githubDouble, pull, "again");
      assert.deepEqual(
        [again.status, again.answer.waiting, again.answer.event],
        [200, true, first.answer.event],
      );
      await decide(first.answer.event!, "approve");
      const after = await send(githubDouble, pull);
      assert.deepEqual([after.status, after.answer.waiting, after.answer.builds!.length], [200, false, 1]);
    });
  });

test("pull requests are not built where the configuration says so", async () => {
  await using own = await openHookFarm("embedded", "pull-requests: own");
  const fork = await sendHook(own.url, githubDouble, { ...aPull(), from: "eve/hello" });
  assert.equal(fork.answer.ignored, "pull requests of forks are not built");
  assert.equal((await sendHook(own.url, githubDouble, aPull())).status, 201);
  await using none = await openHookFarm("embedded", "pull-requests: none");
  const any = await sendHook(none.url, githubDouble, aPull());
  assert.equal(any.answer.ignored, "pull requests are not built");
});
