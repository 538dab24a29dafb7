// `node test/setup/prepare.js demo|test|long|check`: brings what a purpose needs, and is done in a moment when all is
// there. Plain JavaScript for any Node.js from 18 on: it runs before anything is installed.
import { join, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchStaticBusybox, staticBusybox } from "./busybox.js";
import { installPackages, missingPackages, purposes } from "./debian.js";
import { lockFile } from "./lock.js";
import { installModules, linkRuntime, modulesAreCurrent } from "./modules.js";
import { showing, startLog } from "./steps.js";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const log = join(root, ".cache/prepare.log");

const wanted = purposes[process.argv[2] ?? ""];
if (!wanted) {
  process.stderr.write(`usage: node test/setup/prepare.js ${Object.keys(purposes).join("|")}\n`);
  process.exit(2);
}
if (process.platform !== "linux") {
  process.stderr.write("Cannot prepare: croft needs Linux\n");
  process.exit(1);
}

try {
  await prepare();
  linkRuntime(root);
} catch (error) {
  process.stderr.write(`Cannot prepare: ${error.message}\n`);
  process.exitCode ||= 1;
}

async function prepare() {
  if (isPrepared()) return;
  // Several at once are fine: they wait for one another here, and find nothing left to do.
  const lock = await showing("Waiting for another preparation of this clone", () =>
    lockFile(join(root, ".cache/prepare.lock"), "exclusive", { wait: true }),
  );
  try {
    if (isPrepared()) return;
    startLog(log);
    const missing = missingPackages(wanted);
    if (missing.length > 0) await installPackages(missing, log);
    const still = missingPackages(wanted);
    if (still.length > 0) throw new Error(`these are still missing: ${still.join(" ")}\nAll of it: ${log}`);
    if (lacksBusybox()) await fetchStaticBusybox(root, log);
    await installModules(root, { log });
  } finally {
    lock.release();
  }
}

function isPrepared() {
  return modulesAreCurrent(root) && missingPackages(wanted).length === 0 && !lacksBusybox();
}

function lacksBusybox() {
  return "busybox-static" in wanted && staticBusybox(root) === undefined;
}
