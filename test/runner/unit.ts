/** `npm run unit`: all unit tests, with little to read if they pass. */
import { globSync } from "node:fs";
import { run } from "node:test";
import { dot } from "node:test/reporters";
import { packageRoot } from "../../os/files/package.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { together } from "./together.ts";

const concurrency = 3;

await using directory = await temporaryDirectory("croft-unit-");
process.chdir(packageRoot);
const files = await together(globSync("test/**/*.test.ts").sort(), directory.path);
const tests = run({ files, concurrency });
tests.on("test:summary", ({ success }) => {
  if (!success) process.exitCode = 1;
});
for await (const text of tests.compose(dot)) process.stdout.write(text);
