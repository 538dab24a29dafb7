/** What `npm run check` asks of the sources besides tests, so that whoever runs all tests has asked it, too. */
import { test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";

const gates: Record<string, string[]> = {
  "types are right": ["tsc", "-p", ".", "--pretty", "false"],
  "lint finds nothing": ["eslint", "."],
  "imports only go downwards, never in a circle": [
    ...["depcruise", "--config", ".dependency-cruiser.js"],
    ...["agent", "bin", "boss", "controller", "machines", "manifests", "os", "worker"],
  ],
  "no code is dead": ["knip"],
  "the format is prettier's": ["prettier", "--check", "."],
};

for (const [behaviour, [program, ...args]] of Object.entries(gates))
  test(behaviour, async () => {
    const path = packageFile("node_modules", ".bin", program!);
    await run([path, ...args], { timeoutSeconds: 600, cwd: packageFile() });
  });
