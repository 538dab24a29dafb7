/** What commands load before they do anything: a person waits for it, and an agent keeps it in memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";

/** Prints the packages whose modules were loaded, at the end. */
const hook = `
import { registerHooks } from "node:module";
import { writeSync } from "node:fs";
const packages = new Set();
registerHooks({
  load(url, context, next) {
    const name = /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1];
    if (name) packages.add(name);
    return next(url, context);
  },
});
process.on("exit", () => writeSync(2, "\\nloaded: " + [...packages].join(" ") + "\\n"));
`;

/** Hundreds of modules, which only a controller that runs, or a configuration that is read, has a use for. */
const heavy = [
  ...["typebox", "fastify", "markdown-it", "prom-client", "@aws-sdk/client-s3", "nodemailer"],
  ...["pg", "@electric-sql/pglite", "tar", "yaml", "pino-pretty"],
];

const nowhere = "/nonexistent";
const commands = [
  ["machine", "list", "--machines", nowhere],
  ["machine", "show", "none", "--machines", nowhere],
  ["token", "list", "--data", nowhere],
  ["secret", "list", "--data", nowhere],
  ["pause", "target", "none", "--data", nowhere],
  ["controller", "prune", "--days", "1", "--data", nowhere],
  ["controller", "--help"],
  ["agent", "rejected", "list", "--spool", nowhere],
  ["boss", "hosts"],
  ["manifest", "tokens", "/dev/null"],
];

for (const words of commands)
  test(`croft ${words.slice(0, 2).join(" ")} loads nothing that only others need`, async () => {
    const argv = [process.execPath, "--import", `data:text/javascript,${encodeURIComponent(hook)}`];
    const { stderr } = await run([...argv, packageFile("bin", "main.ts"), ...words], {
      ...{ timeoutSeconds: 300, cwd: "/", accept: [0, 1, 2] },
    });
    const loaded = /^loaded: (.*)$/m.exec(stderr)?.[1]?.split(" ") ?? [];
    assert.ok(loaded.includes("commander"), stderr);
    assert.deepEqual(
      heavy.filter((name) => loaded.includes(name)),
      [],
    );
  });
