/** A real C project built with ccache in a cache of croft's: the second build against the first, and against none */
import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { test } from "node:test";
import { hostDebianArchitecture } from "../../../machines/image/architectures.ts";
import { createMachine } from "../../../machines/image/create-machine.ts";
import { openStorage } from "../../../machines/open-storage.ts";
import { packageFile } from "../../../os/files/package.ts";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { upstreamArchive } from "../../fixtures/debian-source.ts";
import { startFarm, type Farm } from "../../fixtures/farm.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";
import { script, writeTree } from "../../worker/sources.ts";
import { trusting } from "./trusting.ts";

/** Its own way of building, timed; what is made has to work. */
const building = [
  "now() { cut -d ' ' -f 1 /proc/uptime | tr -d .; }", // in hundredths
  "ccache --zero-stats > /dev/null", // they are kept with the cache
  "begin=$(now)",
  "make -j2 linux > /dev/null",
  'echo "took $(($(now) - begin))0 ms"',
  'src/lua -e "print(_VERSION, 6 * 7)"',
  "ccache --print-stats | grep -E '^(direct_cache_hit|preprocessed_cache_hit|cache_miss)' || :",
];

/** Packages are only unpacked in a minimal machine: what installing ccache would do is done here. */
const linkCompilers =
  "mkdir -p /usr/lib/ccache\nfor name in cc gcc; do ln -s /usr/bin/ccache /usr/lib/ccache/$name; done\n";

async function machineWithCcache(directory: string): Promise<string> {
  const revision = await createMachine({
    ...{ name: "minimal", machines: directory, onStep: () => {} },
    init: packageFile("worker", "guest", "croft-init"),
    recipe: {
      ...{ kind: "minimal", release: "bookworm", architecture: hostDebianArchitecture(), diskGiB: 2 },
      ...{ include: ["ccache", "gcc", "libc6-dev", "make"], script: linkCompilers, summary: "ccache" },
    },
    storage: await openStorage(directory, "directory", silentLog()),
  });
  return revision!;
}

/** Packs the project with a way of building in it. */
async function pack(farm: Farm, archive: string, version: string, lines: readonly string[]): Promise<void> {
  await using tree = await temporaryDirectory("croft-test-ccache-");
  const top = join(tree.path, `lua-${version}`);
  await run(["mkdir", top], { timeoutSeconds: 60 });
  await run(["tar", "-xf", archive, "-C", top, "--strip-components=1"], { timeoutSeconds: 300 });
  await writeTree(join(top, ".croft"), {
    update: script(...lines),
    test: script("true"),
    install: script("true"),
  });
  const target = join(farm.sources.directory, `lua-${version}.tar.gz`);
  await run(["tar", "-czf", target, "-C", tree.path, basename(top)], { timeoutSeconds: 300 });
}

test("with what the first build has left, the second takes less than a third of its time", async (context) => {
  const archive = await upstreamArchive("lua5.4");
  await using directory = await temporaryDirectory("croft-test-ccache-");
  const revision = await machineWithCcache(directory.path);
  await using farm = await startFarm({
    ...{ machine: "minimal", revision, cpus: 2, ramKiB: 512 * 1024 },
    agent: ["--startup-timeout", String(patienceSeconds)],
  });
  await using proxy = await trusting(farm.url, () => true);
  farm.agentUrl = proxy.url;
  await farm.startAgent(["--caches", "ccache=1GiB", "--cache-directory", join(farm.directory, "caches")]);
  const build = async (version: string, ...before: string[]) => {
    await pack(farm, archive, version, [...before, ...building]);
    const id = await farm.submit({ name: "lua", version });
    const { status } = await farm.ended(id, 3 * patienceSeconds);
    const log = await farm.log(id);
    assert.equal(status, "success", `${log.slice(-3000)}\n${await farm.agentTail()}`);
    assert.match(log, /^Lua 5\.4\s+42$/m);
    return { seconds: Number(/^took (\d+) ms$/m.exec(log)![1]) / 1000, log };
  };
  const without = await build("1.0", "export CCACHE_DISABLE=1");
  const first = await build("1.1");
  const second = await build("1.2");
  const told = [without, first, second].map(({ seconds }) => `${seconds.toFixed(1)} s`);
  context.diagnostic(`without ccache ${told[0]}, first build ${told[1]}, second ${told[2]}`);
  assert.match(second.log, /^cache_miss\s+0$/m, second.log.slice(-2000));
  assert.ok(second.seconds * 3 < first.seconds, told.join(", "));
  assert.ok(second.seconds * 3 < without.seconds, told.join(", "));
});
