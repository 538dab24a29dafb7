/** Other users of the host see nothing of what an agent keeps, whatever the umask. */
import assert from "node:assert/strict";
import { readdir, stat } from "node:fs/promises";
import { test } from "node:test";
import { FakeController } from "./fake-controller.ts";
import { AgentHome, task } from "./running-agent.ts";

test("what an agent makes is its user's alone with umask 0: spool, exchange, runtime directory, locks", async () => {
  await using home = await AgentHome.make(["sh", "-c", 'umask 0; exec "$@"', "sh"]);
  await using controller = await FakeController.start();
  controller.answer = () => ({
    body: `: 1\nsession: s\nresult-url: ${controller.url("/result")}\n:\n${task}`,
  });
  const agent = home.start([controller.url("/task")]);
  await home.readTask();
  const found: string[] = [];
  for (const place of ["spool", "tftp", "runtime", "toolchain.lock"]) {
    const path = home.at(place);
    const isFile = (await stat(path)).isFile();
    const names = isFile ? [] : await readdir(path, { recursive: true });
    assert.ok(isFile || names.length > 0, place);
    for (const name of ["", ...names]) {
      const mode = (await stat(home.at(place, name))).mode & 0o077;
      if (mode !== 0) found.push(`${place}/${name} ${mode.toString(8)}`);
    }
  }
  assert.deepEqual(found, []);
  agent.child.kill("SIGTERM");
  assert.equal((await agent.ended).status, 0);
});
