/** The key `repositories` of the configuration: what is wrong with it is told with its place. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readControllerConfiguration } from "../../../controller/configuration.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const good = { name: "hello", url: "https://x.org/acme/hello.git", forge: "github", "secret-file": "secret" };

/** Reads a configuration with these repositories, whose secrets lie beside it. */
async function read(...repositories: object[]) {
  await using directory = await temporaryDirectory("croft-test-repositories-");
  const file = join(directory.path, "c.yaml");
  writeFileSync(join(directory.path, "secret"), "0123456789abcdef\n", { mode: 0o640 });
  writeFileSync(join(directory.path, "open"), "0123456789abcdef\n", { mode: 0o644 });
  writeFileSync(join(directory.path, "short"), "0123456789abcde\n", { mode: 0o600 });
  const placed = (value: unknown, key: string) =>
    key.endsWith("-file") ? join(directory.path, String(value)) : value;
  const lines = repositories.flatMap((one) =>
    Object.entries(one).map(
      ([key, value], index) => `  ${index === 0 ? "-" : " "} ${key}: ${JSON.stringify(placed(value, key))}\n`,
    ),
  );
  writeFileSync(file, `targets:\n  - name: linux\nrepositories:\n${lines.join("")}`);
  try {
    return readControllerConfiguration({ config: file }).repositories;
  } catch (error) {
    throw new Error((error as Error).message.replaceAll(`${directory.path}/`, ""), { cause: error });
  }
}

test("a repository that says the least has what it needs", async () => {
  const [repository] = await read(good);
  const { secret, targets, pullRequests, tags, branches, priority } = repository!;
  assert.equal(secret, "0123456789abcdef");
  assert.deepEqual([targets, pullRequests, tags, branches, priority], [["*"], "all", [], undefined, 0]);
});

for (const [what, repositories, message] of [
  ["an unknown key", [{ ...good, brnaches: [] }], "c.yaml:8:5: repositories.0.brnaches: unknown key"],
  ["a name twice", [good, good], "c.yaml:8:5: repositories.1.name: there are two called 'hello'"],
  ["a local URL", [{ ...good, url: "/srv/x.git" }], "c.yaml:5:5: repositories.0.url: it is local"],
  [
    "a commit in the URL",
    [{ ...good, url: "https://x.org/a/b#main" }],
    "c.yaml:5:5: repositories.0.url: the hook says which",
  ],
  [
    "a password in the URL",
    [{ ...good, url: "https://a:secret@x.org/a/b" }],
    "c.yaml:5:5: repositories.0.url: credentials stand in it",
  ],
  [
    "an unknown target",
    [{ ...good, targets: ["mac*"] }],
    "c.yaml:8:5: repositories.0.targets: there is no target 'mac*'",
  ],
  [
    "a secret that is not there",
    [{ ...good, "secret-file": "none" }],
    "c.yaml:7:5: repositories.0.secret-file: cannot read 'none': no such file",
  ],
  [
    "a secret for all to read",
    [{ ...good, "secret-file": "open" }],
    "c.yaml:7:5: repositories.0.secret-file: every user of this host may read 'open'",
  ],
  [
    "a short secret",
    [{ ...good, "secret-file": "short" }],
    "c.yaml:7:5: repositories.0.secret-file: the secret in 'short' has fewer than 16",
  ],
  [
    "an unknown forge",
    [{ ...good, forge: "hub" }],
    "c.yaml:6:5: repositories.0.forge: must be equal to one of the allowed values",
  ],
] as const)
  test(`a repository with ${what} is refused, with the place`, async () => {
    await assert.rejects(read(...repositories), (error) => {
      const { message: told } = error as Error;
      assert.ok(told.startsWith(`Cannot use configuration 'c.yaml': ${message}`), told);
      return true;
    });
  });
