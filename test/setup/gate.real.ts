/** What `npm run check` asks of the sources besides tests, so that whoever runs all tests has asked it, too. */
import { test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";

const gates: Record<string, string> = {
  "types are right": "types",
  "lint finds nothing": "lint:style",
  "imports only go downwards, never in a circle": "lint:rooms",
  "no code is dead": "lint:unused",
  "the format is prettier's": "format",
};

for (const [behaviour, script] of Object.entries(gates))
  test(behaviour, async () => {
    await run(["npm", "run", "--silent", script], { timeoutSeconds: 1200, cwd: packageFile() });
  });
