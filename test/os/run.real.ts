import assert from "node:assert/strict";
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";

test("a program that may not be killed is not waited for for ever", async () => {
  await using directory = await temporaryDirectory("croft-test-run-");
  chmodSync(directory.path, 0o755);
  const other = join(directory.path, "setpriv"); // becomes another user, whom its caller may not signal
  copyFileSync("/usr/bin/setpriv", other);
  chmodSync(other, 0o4755);
  const script = `
    import { run } from ${JSON.stringify(join(import.meta.dirname, "../../os/run.ts"))};
    const argv = [${JSON.stringify(other)}, "--reuid=0", "--regid=0", "--clear-groups", "sh", "-c", "echo $$; exec sleep 60"];
    await run(argv, { timeoutSeconds: 1, onLine: (line) => console.log(line) }).catch((error) => console.log(error.reason));`;
  const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", process.execPath];
  const { stdout } = await run([...asNobody, "--input-type=module", "-e", script], { timeoutSeconds: 300 });
  const [pid, reason] = stdout.split("\n");
  try {
    assert.equal(reason, "no end after 1 s, and it cannot be killed");
  } finally {
    process.kill(Number(pid), "SIGKILL");
  }
});
