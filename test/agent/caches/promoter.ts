/** Makes one version of a cache after the other, until it is killed: `promoter.ts DIRECTORY`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ownerOf } from "../../../agent/caches/layout.ts";
import { promote } from "../../../agent/caches/versions.ts";
import { imageOf } from "./images.ts";

const [directory] = process.argv.slice(2);
const owner = ownerOf({ name: "hello", repositoryUrl: "https://example.org/hello.git" }, false);
for (let version = Math.floor(Math.random() * 256); ; version = (version + 1) % 256) {
  const clone = join(directory!, "clone.img");
  writeFileSync(clone, imageOf(version));
  await promote(directory!, "things", owner, clone);
  process.stdout.write("."); // one more
}
