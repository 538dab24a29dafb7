/** Commands that documents show, run as they stand at a farm; only its places are other ones */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { readControllerConfiguration } from "../../controller/configuration.ts";
import { openController } from "../../controller/controller.ts";
import { packageFile } from "../../os/files/package.ts";
import { silentLog } from "../../os/log.ts";
import { run } from "../../os/run.ts";
import { makeFarm, type Farm } from "../controller/farm.ts";
import { patienceSeconds } from "../fixtures/patience.ts";
import { simulateAgent } from "../fixtures/simulated-agent.ts";
import { documents } from "./documents.ts";

/** Commands that need what a farm of this test has not, and the tests that run them. */
const elsewhere: readonly [RegExp, string][] = [
  [/^croft (machine|doctor)\b/, "test/package/commands.real.ts"],
  [/^croft agent (?!key)/, "test/farm/machines/copies.real.ts"],
  [/^croft (controller|agent) install\b/, "test/systemd/service.real.ts"],
  [/^croft controller migrate\b/, "test/controller/backup/migrate.real.ts"],
  [/^croft controller --/, "test/controller/crash.real.ts"],
  [/^croft boss\b/, "test/boss/tutorial.real.ts"],
];

const limit = { timeoutSeconds: patienceSeconds };

const isElsewhere = (line: string) => elsewhere.some(([pattern]) => pattern.test(line));

/** Lines of the documents that have a command of croft, with those that make what it reads. */
function shownLines(): { place: string; line: string }[] {
  const manual = documents().filter(({ path }) => !/^(CONTRIBUTING|CHANGELOG|docs\/decisions)/.test(path));
  const blocks = manual.flatMap((document) => document.blocks).filter(({ language }) => language === "sh");
  return blocks.flatMap(({ place, text }) =>
    text
      .replaceAll(/\\\n\s*/g, "")
      .split("\n")
      .map((line) => ({ place, line: line.replace(/\s+#\s.*$/, "").trim() }))
      .filter(({ line }) => /(^|&& )croft [a-z]/.test(line)),
  );
}

/** A delivery of the number that the documents show, and a notification that it goes to. */
async function fill(farm: Farm): Promise<void> {
  const config = join(farm.directory, "controller.yaml");
  const settings = readControllerConfiguration({ config, data: join(farm.directory, "data") });
  await using controller = await openController(settings, silentLog());
  const what = { name: "hello", version: "0", repository: "https://example.org/hello.git", priority: 0 };
  const [build] = await controller.builds.submit({ ...what, targets: ["debian"] }, null);
  await controller.database.query(
    `insert into croft.deliveries (id, notification, build, event, body, state) overriding system value
     values (17, 'board', $1, 'changed', '{"text": "broken"}', 'failed')`,
    [build!.id],
  );
}

describe("commands that documents show", () => {
  test("are each run here, or by a test that is named", () => {
    for (const [, path] of elsewhere) assert.ok(existsSync(packageFile(path)), path);
  });

  test("do what they say at a farm", { timeout: patienceSeconds * 4000 }, async () => {
    await using farm = await makeFarm(
      "targets: [{ name: debian }]\n" +
        'notifications: [{ name: board, kind: chat, url: "http://127.0.0.1:9/", packages: ["none"] }]\n',
    );
    const at = (name: string) => join(farm.directory, name);
    const { directory, data } = { directory: farm.directory, data: at("data") };
    await using first = await farm.start();
    await first.end("SIGTERM"); // it has made its database
    await fill(farm);
    await using controller = await farm.start();
    await using stack = new AsyncDisposableStack();
    const end = new AbortController();
    const agent = simulateAgent(
      { ...{ name: "host-7", machine: "debian", urls: [controller.url] }, given: () => {} },
      end.signal,
    );
    stack.defer(async () => (end.abort(), await agent));
    const programs = at("programs");
    await mkdir(programs);
    const main = packageFile("bin", "main.ts");
    await writeFile(join(programs, "croft"), `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`);
    await chmod(join(programs, "croft"), 0o755);
    await layInputs(directory);
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      PATH: `${programs}:${process.env["PATH"]}`,
      CROFT_CONTROLLER: controller.url,
    };
    const lines = shownLines().filter(({ line }) => !isElsewhere(line));
    assert.ok(lines.length > 35, `${lines.length}`);
    const troubles: string[] = [];
    for (const { place, line } of lines.toSorted((one, other) => turn(one.line) - turn(other.line))) {
      const typed = line
        .replaceAll(/https:\/\/farm\.example|http:\/\/(127\.0\.0\.1|192\.0\.2\.1):8420/g, controller.url)
        .replaceAll(
          /\/var\/lib\/(private\/)?croft-controller/g,
          line.includes("restore") ? at("restored") : data,
        )
        .replaceAll(/(?<= )\/backup/g, at("backup"))
        .replaceAll(/croft-backup-\w+\.tar/g, `"$(ls ${at("backup")}/*.tar | head -n 1)"`);
      if (turn(line) > 0 && env.CROFT_TOKEN === undefined) {
        const made = await run(["croft", "token", "create", "me", "--role", "admin", "--data", data], {
          ...limit,
          env,
        });
        env.CROFT_TOKEN = made.stdout.trim().split("\n").at(-1);
      }
      await run(["sh", "-e", "-c", typed], { ...limit, cwd: directory, env }).catch((error: unknown) =>
        troubles.push(`${place}: ${line}: ${String(error)}`),
      );
    }
    assert.deepEqual(troubles, []);
  });
});

/** What is there already where the documents' reader stands. */
async function layInputs(directory: string): Promise<void> {
  const at = (name: string) => join(directory, name);
  await mkdir(at("hello/.croft"), { recursive: true });
  await writeFile(at("hello/.croft/update"), "#!/bin/sh\ntrue\n");
  await mkdir(at("backup"));
  for (const name of ["token", "team-token"]) await writeFile(at(name), "a word that nobody is told\n");
  await run(["openssl", "genrsa", "-out", at("agent.key"), "2048"], limit);
  await run(["openssl", "rsa", "-in", at("agent.key"), "-pubout", "-out", at("agent.pem")], limit);
  await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at("deploy-key")], limit);
  await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at("host-key")], limit);
  const { stdout } = await run(["cat", at("host-key.pub")], limit);
  await writeFile(at("known-hosts"), `git.example.org ${stdout}`);
}

/**
 * What needs no token comes first: when there are some, everybody is asked for one. Secrets go to agents with a key, and what is
 * restored must have been backed up.
 */
function turn(line: string): number {
  if (/^croft (token|agent key revoke)/.test(line)) return 2;
  return /^croft (pause|resume|agent key)|--secret|restore|prune/.test(line) ? 1 : 0;
}
