/** Caches of builds, with real guests; that the controller trusts a build is said by what stands between it and the agent. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { patienceMs } from "../../fixtures/patience.ts";
import { startFarm, type Farm } from "../../fixtures/farm.ts";
import { packSource, script } from "../../worker/sources.ts";
import { trusting } from "./trusting.ts";

const look = 'echo "found $(cat "$CROFT_CACHE_THINGS/word" 2> /dev/null)"';
const hostile = [
  'echo evil > "$CROFT_CACHE_THINGS/word"; sync',
  "for disk in /sys/block/vd*; do case $(cat $disk/serial) in croft-*) evil=/dev/${disk##*/} ;; esac; done",
  "dd if=/dev/zero of=$evil bs=65536 count=64",
];

async function found(farm: Farm, version: string): Promise<string | undefined> {
  const id = await farm.submit({ name: "hello", version });
  const { status } = await farm.ended(id);
  const log = await farm.log(id);
  assert.equal(status, "success", `${log}\n${await farm.agentTail()}`);
  return /^found (.*)$/m.exec(log)?.[1];
}

async function untilLogged(farm: Farm, text: string): Promise<void> {
  for (
    const deadline = performance.now() + patienceMs;
    !readFileSync(farm.agentLog, "utf8").includes(text);
  ) {
    if (performance.now() > deadline) throw new Error(`no '${text}' in:\n${await farm.agentTail()}`);
    await delay(50);
  }
}

test("what a trusted build leaves, the next ones find, booted or restored; what a hostile one does to it, nobody", async () => {
  await using farm = await startFarm({ machine: "minimal", from: "copied", warm: true, ramKiB: 262144 });
  let isTrusted = true;
  await using proxy = await trusting(farm.url, () => isTrusted);
  farm.agentUrl = proxy.url;
  const sources: Record<string, string[]> = {
    "1.0": [look, 'echo good > "$CROFT_CACHE_THINGS/word"'],
    "1.1": [look, ...hostile],
    "1.2": [look],
  };
  for (const [version, lines] of Object.entries(sources))
    await packSource(farm.sources, { ".croft/update": script(...lines) }, `hello-${version}.tar.gz`);
  const directory = join(farm.directory, "caches");
  await farm.startAgent(["--caches", "things=64MiB", "--cache-directory", directory]);
  assert.equal(await found(farm, "1.0"), "");
  isTrusted = false;
  await untilLogged(farm, "machine saved");
  assert.equal(await found(farm, "1.1"), "good");
  assert.equal(await found(farm, "1.2"), "good");
  await farm.stopAgent();
  const agentLog = readFileSync(farm.agentLog, "utf8");
  assert.equal(agentLog.split("machine restored").length - 1, 2, agentLog);
  assert.equal(existsSync(join(directory, ".clones", "default-1")), false);
});
