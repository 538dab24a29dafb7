/** What is read of the forges' payloads, those that GitHub's users have contributed among them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { isOfFork, PayloadError, cleaned, type ForgeEvent } from "../../../controller/forges/event.ts";
import { gitea, github } from "../../../controller/forges/github.ts";
import { gitlab } from "../../../controller/forges/gitlab.ts";
import { leadsTo } from "../../../controller/forges/repositories.ts";
import { commitA, commitB, doubles, type Happening } from "./payloads.ts";

const forges = { github, gitlab, gitea, forgejo: gitea };

for (const double of doubles) {
  const read = (happening: Happening) => {
    const headers = double.headers(happening, "", "", "");
    return forges[double.name].read(headers, JSON.parse(JSON.stringify(double.payload(happening))));
  };
  const event = (happening: Happening) => read(happening) as ForgeEvent;

  describe(`a hook of ${double.name}`, () => {
    test("tells of a push: branch, commit, who and what", () => {
      assert.deepEqual(read({ kind: "push", reference: "feature/x" }), {
        ...{ kind: "push", reference: "feature/x", commit: commitA, repository: "acme/hello" },
        ...{ defaultBranch: "main", author: "ann", subject: "Say hello" },
      });
    });

    test("tells of a tag the commit, not the annotated tag's own name", () => {
      const { kind, reference, commit } = event({ kind: "tag", reference: "v1", tagObject: commitB });
      assert.deepEqual([kind, reference, commit], ["tag", "v1", commitA]);
    });

    test("builds nothing for what was deleted", () => {
      for (const kind of ["push", "tag"] as const)
        assert.match(
          (read({ kind, reference: "x", deleted: true }) as { ignored: string }).ignored,
          /was deleted/,
        );
    });

    test("tells of a pull request that it is opened or has further commits, and of no other change of it", () => {
      for (const action of ["opened", "synchronized"] as const)
        assert.deepEqual(read({ kind: "pull-request", reference: "7", action }), {
          ...{ kind: "pull-request", reference: "7", commit: commitA, repository: "acme/hello" },
          ...{ defaultBranch: "main", author: "bob", subject: "Say hello" },
          pull: { from: "acme/hello", base: "main" },
        });
      for (const action of ["closed", "labeled"] as const)
        assert.ok("ignored" in read({ kind: "pull-request", reference: "7", action }), action);
    });

    test("takes a pull request for a fork's that comes from elsewhere, or from what is gone", () => {
      const isFork = (from?: string | null) =>
        isOfFork(event({ kind: "pull-request", reference: "7", ...(from === undefined ? {} : { from }) }));
      assert.deepEqual([isFork(), isFork("eve/hello"), isFork(null)], [false, true, true]);
    });

    test("is refused if something in it is not as the forge sends it, which is named", () => {
      const payload = JSON.parse(JSON.stringify(double.payload({ kind: "push", reference: "main" })));
      const headers = double.headers({ kind: "push", reference: "main" }, "", "", "");
      const refused = (changes: object, name: string) =>
        assert.throws(
          () => forges[double.name].read(headers, { ...payload, ...changes }),
          (error) => error instanceof PayloadError && error.message.includes(`'${name}`),
        );
      refused({ ref: 1 }, "ref");
      refused({ after: "../../x" }, "after");
      refused({ after: undefined }, "after");
      assert.throws(() => forges[double.name].read(headers, []), PayloadError);
      assert.throws(() => forges[double.name].read(headers, null), PayloadError);
    });
  });
}

test("pushes and pull requests that GitHub's users have recorded are read", () => {
  const file = fileURLToPath(import.meta.resolve("@octokit/webhooks-examples"));
  const examples = JSON.parse(readFileSync(file, "utf8")) as { name: string; examples: unknown[] }[];
  const of = (name: string) => examples.find((one) => one.name === name)!.examples;
  const read = (name: string) => of(name).map((one) => github.read({ "x-github-event": name }, one));
  const pushes = read("push").map((one) => ("ignored" in one ? one.ignored : `${one.kind} ${one.reference}`));
  assert.ok(pushes.includes("push master") && pushes.includes("tag simple-tag"), pushes.join());
  assert.ok(pushes.includes("the tag was deleted"), pushes.join());
  const pulls = read("pull_request");
  const bringing = of("pull_request").filter((one) =>
    ["opened", "reopened", "synchronize"].includes((one as { action: string }).action),
  );
  assert.ok(bringing.length >= 4);
  assert.equal(pulls.filter((one) => !("ignored" in one)).length, bringing.length);
  // Whatever else GitHub sends to a hook that is to be sent everything
  for (const { name, examples: all } of examples)
    if (name !== "push" && name !== "pull_request")
      for (const one of all) assert.ok("ignored" in github.read({ "x-github-event": name }, one), name);
});

test("what an event has in it can be kept and shown, whatever its author wrote", () => {
  const event = {
    kind: "push",
    reference: "main",
    commit: commitA,
    repository: "a/b",
    defaultBranch: null,
  } as const;
  const { subject, author } = cleaned({
    ...event,
    author: "\ud800",
    subject: `x\0\u001b[31m${"y".repeat(5000)}`,
  });
  assert.equal(author, "\ufffd");
  assert.match(subject, /^x\?\?\[31my+$/);
  assert.equal(subject.length, 1000);
});

test("a repository's full name is that of a URL by whole parts of its path, however it is reached", () => {
  for (const url of [
    "https://x.org/acme/hello.git",
    "https://x.org/acme/hello",
    "https://x.org/git/Acme/Hello.git/",
    "ssh://git@x.org:22/acme/hello.git",
    "git@x.org:acme/hello.git",
  ])
    assert.ok(leadsTo(url, "acme/hello"), url);
  for (const url of [
    "https://x.org/notacme/hello",
    "https://x.org/acme/hello2",
    "https://acme/hello",
    "acme/hello",
  ])
    assert.ok(!leadsTo(url, "acme/hello"), url);
});
