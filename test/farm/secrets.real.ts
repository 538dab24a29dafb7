/** A secret all the way: set by an administrator, named by `croft submit`, a variable in a real guest, hidden in its log. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { makeKey } from "../controller/authentication/proof.ts";
import { startFarm, type Farm } from "../fixtures/farm.ts";
import { until } from "../controller/until.ts";
import { packSource, script } from "../worker/sources.ts";

const secret = "correct-horse-battery";
const stack = new AsyncDisposableStack();
let farm: Farm;
const token = "token-of-somebody-trusted";

before(async () => {
  const { path } = stack.use(await temporaryDirectory("croft-test-secrets-"));
  const key = makeKey();
  mkdirSync(join(path, "keys"));
  writeFileSync(join(path, "keys", "agent.pem"), key.publicPem);
  writeFileSync(join(path, "agent.key"), key.privatePem, { mode: 0o600 });
  const sha256 = createHash("sha256").update(token).digest("hex");
  farm = stack.use(
    await startFarm({
      machine: "minimal",
      from: "kept",
      agent: ["--auth-key", join(path, "agent.key")],
      controller: `agents: { keys: ${join(path, "keys")} }\ntokens: [{ name: ann, role: trusted, sha256: ${sha256} }]\nretries: 0\nsecrets-key: ${join(path, "secrets-key")}\n`,
    }),
  );
  await packSource(farm.sources, {
    ".croft/update": script("set +x", 'echo "it has ${#DEPLOY_KEY} characters: $DEPLOY_KEY"'),
  });
});
after(() => stack.disposeAsync());

const croft = (args: string[], input?: string) =>
  run([process.execPath, packageFile("bin", "main.ts"), ...args], {
    timeoutSeconds: 300,
    env: { ...process.env, CROFT_TOKEN: token, CROFT_CONTROLLER: farm.url },
    ...(input === undefined ? {} : { input }),
  });

for (const [how, options] of [
  ["restored, which has it by its control port", []],
  ["booted, which gets it once", ["--no-warm"]],
] as const)
  test(`a machine that is ${how}, has the secret as a variable, and its log has stars`, async () => {
    const data = join(farm.directory, "data");
    await croft(["secret", "set", "DEPLOY_KEY", "--data", data], `${secret}\n`);
    const url = farm.guestUrl("/");
    const { stdout } = await croft([
      "submit",
      url,
      "--type",
      "pkg",
      "--name",
      "hello",
      "--version",
      "1.0",
      "--secret",
      "DEPLOY_KEY",
    ]);
    const [, id] = /^build (\d+),/.exec(stdout)!;
    await farm.startAgent(options);
    const headers = { authorization: `Bearer ${token}` };
    let shown = { state: "", status: "" };
    await until(async () => {
      shown = (await (await fetch(`${farm.url}/api/v1/builds/${id}`, { headers })).json()) as typeof shown;
      return shown.state === "finished";
    }, "the end of the build");
    const { stdout: log } = await croft(["log", id!]);
    assert.equal(shown.status, "success", `${log}\n${await farm.agentTail()}`);
    assert.ok(log.includes(`it has ${secret.length} characters: ${"*".repeat(secret.length)}`), log);
    await farm.stopAgent();
    const written = readdirSync(farm.directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.includes("/machines"))
      .filter((entry) => readFileSync(join(entry.parentPath, entry.name)).includes(secret));
    assert.deepEqual(
      written.map(({ name }) => name),
      [],
    );
  });
