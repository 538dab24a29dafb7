/** People at a terminal: they log in once, and watch the farm. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { quote } from "../../../os/text/shell-word.ts";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";
import { makeFarm, submit, type Farm } from "../farm.ts";
import { until } from "../until.ts";

describe("somebody at a terminal", () => {
  let farm: Farm;
  let url: string;
  let env: NodeJS.ProcessEnv;
  before(async () => {
    farm = await makeFarm();
    url = (await farm.start()).url;
    env = { ...process.env, XDG_CONFIG_HOME: join(farm.directory, "config"), TERM: "xterm", COLUMNS: "" };
  });
  after(() => farm?.[Symbol.asyncDispose]());

  const words = (...args: string[]) => [process.execPath, packageFile("bin", "main.ts"), ...args];
  const croft = (...args: string[]) =>
    run(words(...args), { timeoutSeconds: patienceSeconds, env, accept: [1, 2] });

  /** A command in a terminal of its own. */
  function atTerminal(...args: string[]) {
    const command = `stty rows 12 cols 60; exec ${words(...args)
      .map(quote)
      .join(" ")}`;
    const child = spawn("script", ["-qec", command, "/dev/null"], {
      env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = once(child, "exit") as Promise<[number | null]>;
    let shown = "";
    child.stdout.on("data", (piece: Buffer) => (shown += piece.toString()));
    return {
      shows: (what: RegExp) => until(async () => what.test(shown), `${what} in ${JSON.stringify(shown)}`),
      types: (keys: string) => void child.stdin.write(keys),
      ended: async () => ({ status: (await ended)[0], shown }),
    };
  }

  test("watches the farm, sees what is submitted meanwhile, and gets the terminal back", async () => {
    const watching = atTerminal("watch", "--controller", url);
    await watching.shows(/\x1b\[\?1049h[^]*0 agents: 0 building, 0 idle, 0 silent[^]*no builds/);
    await submit(url, { name: `long-${"x".repeat(80)}` });
    await watching.shows(/default +1 +0 +0[^]*\n1 +long-x{10,53}\x1b\[K/);
    watching.types("q");
    const { status, shown } = await watching.ended();
    assert.equal(status, 0);
    assert.ok(shown.endsWith("\x1b[?25h\x1b[?1049l"), JSON.stringify(shown.slice(-40)));
  });

  test("logs in once: the token is not shown, kept for them alone, and sent to that controller only", async () => {
    const data = join(farm.directory, "data");
    const token = (await croft("token", "create", "ann", "--data", data)).stdout.trim();
    const wrong = atTerminal("login", url);
    await wrong.shows(/Token for http/);
    wrong.types("wrong\n");
    assert.match((await wrong.ended()).shown, /Cannot ask .*: the token is not known here/);
    const right = atTerminal("login", `${url}/`);
    await right.shows(/Token for http/);
    right.types(`${token}\n`);
    const { status, shown } = await right.ended();
    assert.equal(status, 0, shown);
    assert.match(shown, /logged in to http:\/\/127\.0\.0\.1:\d+ as ann, role submit; kept in .*logins\.json/);
    assert.ok(!shown.includes(token), "the token is on the screen");
    const file = join(farm.directory, "config", "croft", "logins.json");
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.deepEqual(JSON.parse(await readFile(file, "utf8")), { controller: url, tokens: { [url]: token } });
    const made = JSON.parse((await croft("submit", "https://x.org/hello.git", "--json")).stdout) as {
      builds: { submittedBy: string }[];
    };
    assert.equal(made.builds[0]!.submittedBy, "ann");
    const elsewhere = url.replace("127.0.0.1", "localhost");
    assert.match(
      (await croft("cancel", "1", "--controller", elsewhere)).stderr,
      /needs a token that is known/,
    );
    assert.equal((await croft("logout")).status, 0);
    assert.match((await croft("cancel", "1", "--controller", url)).stderr, /needs a token that is known/);
    assert.match((await croft("logout")).stderr, /Cannot log out of a controller: nobody is logged in there/);
  });
});
