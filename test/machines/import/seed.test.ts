import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { isoImage } from "../../../machines/import/iso-image.ts";
import { seedDisk } from "../../../machines/import/seed.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";

/** Files of an ISO 9660 file system by their names, read as ECMA-119 says. */
function filesIn(image: Buffer): { label: string; files: Map<string, string> } {
  const descriptor = image.subarray(16 * 2048);
  assert.equal(descriptor.toString("latin1", 0, 7), "\x01CD001\x01");
  assert.equal(descriptor.readUInt32LE(80) * 2048, image.length);
  const root = image.subarray(descriptor.readUInt32LE(158) * 2048).subarray(0, descriptor.readUInt32LE(166));
  const files = new Map<string, string>();
  for (let at = 0; root[at]; at += root[at]!) {
    const [extent, bytes, length] = [root.readUInt32LE(at + 2), root.readUInt32LE(at + 10), root[at + 32]!];
    assert.deepEqual([root.readUInt32BE(at + 6), root.readUInt32BE(at + 14)], [extent, bytes]);
    const name = root.toString("latin1", at + 33, at + 33 + length);
    if ((root[at + 25]! & 2) === 0)
      files.set(name, image.toString("utf8", extent * 2048, extent * 2048 + bytes));
  }
  return { label: descriptor.toString("latin1", 40, 72).trimEnd(), files };
}

/** The parts of what cloud-init is given, by their names. */
function partsOf(text: string): [string, string][] {
  const boundary = /boundary="(.*)"/.exec(text)![1]!;
  return text
    .split(`--${boundary}\n`)
    .slice(1)
    .map((part) => {
      const [head = "", body = ""] = part.split(/\n\n(.*)/s);
      return [/filename="(.*)"/.exec(head)![1]!, Buffer.from(body.split("\n--")[0]!, "base64").toString()];
    });
}

test("a file system has its files, however long they are", () => {
  const long = "x".repeat(5000);
  const image = isoImage("cidata", [
    { name: "user-data", content: Buffer.from(long) },
    { name: "empty", content: Buffer.alloc(0) },
    { name: "meta-data", content: Buffer.from("a\n") },
  ]);
  const { label, files } = filesIn(image);
  assert.equal(label, "cidata");
  assert.deepEqual(
    [...files],
    [
      ["empty", ""],
      ["meta-data", "a\n"],
      ["user-data", long],
    ],
  );
});

test("a seed has what the operator adds between the hook that tells of cloud-init and the script that makes ready", async () => {
  const { files } = filesIn(await seedDisk("#cloud-config\npackages: [gcc]\n"));
  assert.match(files.get("meta-data")!, /^instance-id: croft-[-0-9a-f]{36}$/m);
  const parts = partsOf(files.get("user-data")!);
  const names = parts.map(([name]) => name);
  assert.deepEqual(names, ["aa-croft-begun", "operator", "zz-croft-ready"]);
  assert.deepEqual([...names].sort(), names, "cloud-init runs scripts in the order of their names");
  assert.equal(parts[1]![1], "#cloud-config\npackages: [gcc]\n");
  const ready = parts[2]![1];
  assert.ok(ready.includes(readFileSync(packageFile("worker", "guest", "croft-init"), "utf8")));
  assert.match(ready, /^user_data=yes\nrole=build$/m);
  assert.doesNotMatch(ready, /@[a-z-]+@/);
  await run(["sh", "-n"], { timeoutSeconds: 60, input: ready });
});

test("without anything from the operator there are two parts; what cloud-init would pass over is refused", async () => {
  const { files } = filesIn(await seedDisk(undefined));
  assert.equal(partsOf(files.get("user-data")!).length, 2);
  const auxiliary = filesIn(await seedDisk(undefined, "auxiliary")).files.get("user-data")!;
  assert.match(partsOf(auxiliary)[1]![1], /^user_data=no\nrole=auxiliary$/m);
  await assert.rejects(seedDisk("packages: [gcc]\n"), /none of those that cloud-init knows/);
});

test("a module of cloud-init that fails of itself is the image's; one that the user data speak of, and a script, are theirs", async () => {
  const failed = (module: string) =>
    `2026-11-29 22:50:58 - util.py[WARNING]: Running module ${module} (<module 'cloudinit.config.cc_${module}' from '/x'>) failed\n`;
  const found = async (userData: string, log: string) => {
    const { files } = filesIn(await seedDisk(userData));
    const [, script] = partsOf(files.get("user-data")!).at(-1)!;
    const [judging] = /^failure_in\(\) \{$[^]*?^\}$/m.exec(script)!;
    await using directory = await temporaryDirectory("croft-test-seed-");
    const path = join(directory.path, "log");
    await writeFile(path, log);
    return (await run(["sh", "-c", `${judging}\nfailure_in "$1"`, "sh", path], { timeoutSeconds: 60 }))
      .stdout;
  };
  const [locale, packages] = [failed("locale"), failed("package_update_upgrade_install")];
  const script = "util.py[WARNING]: Failed running /var/lib/cloud/instance/scripts/operator [1]\n";
  assert.equal(await found("#!/bin/sh\ntrue\n", locale), "");
  assert.equal(await found("#!/bin/sh\nfalse\n", locale + script), script);
  assert.equal(await found("#cloud-config\nlocale: de_DE\n", locale), locale);
  assert.equal(await found("#cloud-config\npackages: [gcc]\n", locale + packages), packages);
});
