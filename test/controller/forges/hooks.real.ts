/** Hooks of all kinds of forges, over HTTP: who is believed, what is built, and what comes twice. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { databaseKinds } from "../in-process.ts";
import { openHookFarm, type HookFarm } from "./farm.ts";
import { commitA, doubles, githubDouble, secret, sendHook, type Happening } from "./payloads.ts";

const targets = "targets: [{ name: one }, { name: two }, { name: three }]\n";
const push = { kind: "push", reference: "main" } as const;
/** One that no test has sent yet. */
const aCommit = () => randomBytes(20).toString("hex");

for (const [kind, skip] of databaseKinds)
  describe(`hooks, with the database ${kind}`, { skip }, () => {
    const resources = new AsyncDisposableStack();
    let farm: HookFarm;
    before(async () => {
      const more = "branches: [main, release-*], tags: [v*], targets: [one, t*], priority: 5";
      farm = resources.use(await openHookFarm(kind, more, targets));
    });
    after(() => resources.disposeAsync());

    const countBuilds = async () => {
      const counts = await farm.controller.builds.count();
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    };

    for (const forge of doubles)
      describe(`of ${forge.name}`, () => {
        const send = (happening: Happening, sending = {}) => sendHook(farm.url, forge, happening, sending);

        test("queue the pushed commit for each target, and tell where", async () => {
          const commit = aCommit();
          const { status, answer } = await send({ ...push, commit });
          assert.equal(status, 201);
          assert.deepEqual(
            answer.builds!.map(({ repository, target, submittedBy }) => [repository, target, submittedBy]),
            ["one", "two", "three"].map((target) => [
              `https://x.org/acme/hello.git#main@${commit}`,
              target,
              `hook:${forge.name}`,
            ]),
          );
          const build = (await farm.controller.builds.find(answer.builds![0]!.id))!;
          assert.deepEqual([build.name, build.priority, build.on_badge], [forge.name, 5, true]);
          assert.equal(build.event, answer.event);
        });

        test("queue what the configuration names, the usual branch alone being on the badge; and say why nothing else", async () => {
          const outcome = async (happening: Happening) => {
            const { answer } = await send({ commit: aCommit(), ...happening });
            const [build] = answer.builds ?? [];
            return build ? (await farm.controller.builds.find(build.id))!.on_badge : answer.ignored;
          };
          assert.equal(await outcome({ kind: "push", reference: "release-2" }), false);
          assert.equal(await outcome({ kind: "tag", reference: "v2" }), false);
          assert.equal(await outcome({ kind: "push", reference: "work" }), "the branch 'work' is not built");
          assert.equal(await outcome({ kind: "tag", reference: "x" }), "no pattern for tags names 'x'");
          assert.match(String(await outcome({ ...push, deleted: true })), /was deleted/);
        });

        test("are refused without the right secret or signature, and nothing is built", async () => {
          const before = await countBuilds();
          const body = JSON.stringify(forge.payload(push));
          const proofs = Object.keys(forge.headers(push, body, secret, "x")).filter((name) =>
            /signature|token/.test(name),
          );
          const all = (value: string) => Object.fromEntries(proofs.map((name) => [name, value]));
          const refused = {
            "another secret": await send(push, { secret: `${secret}x` }),
            "an empty secret": await send(push, { secret: "" }),
            "no signature": await send(push, { headers: all("") }),
            "a wrong one": await send(push, { headers: all("sha256=00") }),
          };
          for (const [name, { status, answer }] of Object.entries(refused))
            assert.deepEqual([status, typeof answer.error], [401, "string"], name);
          if (forge.name !== "gitlab") {
            // GitLab signs nothing
            const signed = forge.headers(push, body, secret, "x");
            const changed = await send(push, { body: body.replace("main", "evil"), headers: signed });
            assert.equal(changed.status, 401);
          }
          assert.equal(await countBuilds(), before);
        });

        test("that come again build nothing, and are told what there is; another under the same name is a conflict", async () => {
          const happening = { ...push, commit: aCommit() };
          const first = await send(happening, { delivery: `${forge.name}-1` });
          const again = await send(happening, { delivery: `${forge.name}-1` });
          assert.equal(again.status, 200);
          const ids = ({ answer }: typeof first) => answer.builds!.map(({ id }) => id);
          assert.deepEqual(ids(again), ids(first));
          const other = await send(happening, { delivery: `${forge.name}-2` });
          assert.deepEqual([other.status, other.answer.event], [200, first.answer.event]);
          const conflict = await send({ ...push, commit: aCommit() }, { delivery: `${forge.name}-1` });
          assert.equal(conflict.status, 409);
          // The same commit elsewhere is something else.
          const tag = await send({ kind: "tag", reference: "v3", commit: happening.commit });
          assert.equal(tag.status, 201);
          await farm.controller.database.query(
            "update croft.forge_events set created_at = now() - interval '25 hours' where id = $1",
            [first.answer.event],
          );
          assert.equal((await send(happening, { delivery: `${forge.name}-3` })).status, 201);
        });

        test("that come twice at once build once", async () => {
          const happening = { ...push, commit: aCommit() };
          const before = await countBuilds();
          const all = await Promise.all([1, 2, 3, 4].map(() => send(happening)));
          assert.deepEqual(all.map(({ status }) => status).sort(), [200, 200, 200, 201]);
          assert.equal(new Set(all.map(({ answer }) => answer.event)).size, 1);
          assert.equal(await countBuilds(), before + 3);
        });

        test("of another repository, or with another body than the forge's, are refused in words", async () => {
          const foreign = await send({ ...push, repository: "acme/other" });
          assert.equal(foreign.status, 400);
          assert.match(foreign.answer.error!, /not that of acme\/other/);
          for (const [body, words] of [
            ["{", /no JSON/],
            ["[]", /none of this forge/],
          ] as const) {
            const { status, answer } = await send(push, { body });
            assert.equal(status, 400);
            assert.match(answer.error!, words);
          }
        });
      });

    test("trust pushes to what the configuration names, and no pull request", async () => {
      const trustOf = async (happening: Happening) => {
        const { answer } = await sendHook(farm.url, githubDouble, { commit: aCommit(), ...happening });
        const [row] = await farm.controller.database.query<{ trusted: boolean }>(
          "select trusted from croft.forge_events where id = $1",
          [answer.event],
        );
        return row!.trusted;
      };
      assert.equal(await trustOf(push), true);
      assert.equal(await trustOf({ kind: "tag", reference: "v9" }), true);
      assert.equal(await trustOf({ kind: "pull-request", reference: "9" }), false);
    });

    test("what is built again is built for the same, and not on a badge where it was not", async () => {
      const { answer } = await sendHook(farm.url, githubDouble, { kind: "tag", reference: "v10" });
      const build = (await farm.controller.builds.find(answer.builds![0]!.id))!;
      const again = await farm.controller.builds.rebuild(build, "ann");
      const read = (await farm.controller.builds.find(again.id))!;
      assert.deepEqual([read.event, read.on_badge], [answer.event, false]);
    });
  });

describe("hooks", () => {
  const resources = new AsyncDisposableStack();
  let farm: HookFarm;
  before(async () => {
    farm = resources.use(await openHookFarm("embedded"));
  });
  after(() => resources.disposeAsync());

  test("may come in a form: GitHub signs the form, Gitea the JSON in it", async () => {
    for (const forge of doubles.filter(({ name }) => name !== "gitlab")) {
      const happening = { ...push, commit: aCommit(), subject: "plus+and&=%" };
      const json = JSON.stringify(forge.payload(happening));
      const form = new URLSearchParams({ payload: json }).toString();
      const signed = forge.headers(happening, forge.name === "github" ? form : json, secret, aCommit());
      const headers = { "content-type": "application/x-www-form-urlencoded", ...signed };
      const { status } = await sendHook(farm.url, forge, happening, { body: form, headers });
      assert.equal(status, 201, forge.name);
    }
  });

  test("without patterns build the usual branch alone, which is not trusted thereby", async () => {
    const { status, answer } = await sendHook(farm.url, githubDouble, { ...push, commit: aCommit() });
    assert.equal(status, 201);
    const event = "select trusted from croft.forge_events where id = $1";
    assert.deepEqual(await farm.controller.database.query(event, [answer.event]), [{ trusted: false }]);
    const other = await sendHook(farm.url, githubDouble, { kind: "push", reference: "release-1" });
    assert.equal(other.answer.ignored, "the branch 'release-1' is not built");
  });

  test("for no repository here, or of another type, are refused", async () => {
    const unknown = await fetch(`${farm.url}/hooks/other`, { method: "POST", body: "{}" });
    assert.equal(unknown.status, 404);
    const { status } = await sendHook(farm.url, githubDouble, push, {
      headers: { "content-type": "text/plain" },
    });
    assert.equal(status, 415);
  });

  test("of a branch whose name no URL can have are built by the commit alone", async () => {
    const branch = { kind: "push", reference: "usual branch #1 é" } as const;
    const payload = JSON.parse(JSON.stringify(githubDouble.payload({ ...branch, commit: commitA })));
    payload.repository.default_branch = branch.reference;
    const { answer } = await sendHook(farm.url, githubDouble, branch, { body: JSON.stringify(payload) });
    assert.equal(answer.builds![0]!.repository, `https://x.org/acme/hello.git#${commitA}`);
  });

  test("longer than any that is read are refused", async () => {
    const sent = request(`${farm.url}/hooks/github`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-hub-signature-256": "sha256=0" },
    });
    sent.on("error", () => {});
    sent.write(Buffer.alloc((5 << 20) + 1, " ")); // and more would follow
    const [answer] = (await once(sent, "response")) as [{ statusCode: number }];
    assert.equal(answer.statusCode, 413);
    sent.destroy();
  });

  test("without a signature are refused before anything of them is read", async () => {
    const sent = request(`${farm.url}/hooks/github`, {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": 1000 },
    });
    sent.on("error", () => {});
    sent.flushHeaders();
    const [answer] = (await once(sent, "response")) as [{ statusCode: number }];
    assert.equal(answer.statusCode, 401);
    sent.destroy();
  });
});
