/**
 * `npm run bench [-- NAME…]`: runs the benchmarks of this folder, each a module `<name>.bench.ts` whose default
 * export prints its figures beside those of the alternative, measured in the same run.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";

const wanted = process.argv.slice(2);
for (const file of readdirSync(import.meta.dirname).sort()) {
  const name = /^(.+)\.bench\.ts$/.exec(file)?.[1];
  if (name === undefined || (wanted.length > 0 && !wanted.includes(name))) continue;
  process.stdout.write(`\n== ${name}\n`);
  const { default: bench } = (await import(join(import.meta.dirname, file))) as {
    default: () => Promise<void>;
  };
  await bench();
}
