import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { appendFile, mkdir, open, readdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { importMachine } from "../../../machines/import/import-machine.ts";
import { imageSource, type ImageFormat } from "../../../machines/import/source.ts";
import { imageUser } from "../../../machines/import/unprivileged.ts";
import { openStorage } from "../../../machines/open-storage.ts";
import { assertFailure } from "../../../os/failure.ts";
import { silentLog } from "../../../os/log.ts";
import { GiB } from "../../../os/text/size.ts";
import { guestUser } from "../qemu/qemu-guest.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { packageFile } from "../../../os/files/package.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";

const limit = { timeoutSeconds: patienceSeconds };

/** Imports an image that is to be refused. @returns what is told. */
async function refusal(directory: string, image: string, options: Wanted = {}): Promise<string> {
  const machines = join(directory, "machines");
  await mkdir(machines, { recursive: true });
  const { maxGiB = 32, ...format } = options;
  const importing = importMachine({
    ...{ name: "m", summary: "a machine", machines, source: imageSource(image, format), boot: {} },
    storage: await openStorage(machines, "directory", silentLog()),
    ...{ maxBytes: maxGiB * GiB, diskBytes: GiB, user: imageUser(guestUser.id, "tcg"), log: silentLog() },
    ...{ cpus: 1, ramKiB: 262144, accel: "tcg", timeoutSeconds: patienceSeconds, onStep: () => {} },
    signal: new AbortController().signal,
  });
  const told = await importing.then(
    () => "",
    (error: unknown) => {
      assertFailure(error);
      return error.message;
    },
  );
  assert.deepEqual(await readdir(join(machines, "default", "m")), [], `left of ${image}`);
  return told;
}

interface Wanted {
  format?: ImageFormat;
  maxGiB?: number;
}

async function qemuImg(...args: string[]): Promise<void> {
  await run(["qemu-img", ...args], limit);
}

/** A raw file of this host that an image would like to read. */
async function secretIn(directory: string): Promise<string> {
  const secret = join(directory, "secret.raw");
  await writeFile(secret, Buffer.alloc(1024 * 1024, "secret"));
  return secret;
}

/** Images that name a file of the host as their content. */
async function thieves(directory: string, secret: string): Promise<string[]> {
  const [backing, json, data] = ["backing", "json", "data"].map((name) => join(directory, `${name}.qcow2`));
  await qemuImg("create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, backing!);
  const options = `json:{"driver":"raw","file":{"driver":"file","filename":"${secret}"}}`;
  await qemuImg("create", "-q", "-f", "qcow2", "-F", "raw", "-b", options, json!);
  // An external data file is made empty, so it gets its name afterwards.
  const name = join(directory, "placed.raw");
  await qemuImg("create", "-q", "-f", "qcow2", "-o", `data_file=${name},data_file_raw=on`, data!, "1M");
  const bytes = readFileSync(data!);
  bytes.write(secret.padEnd(name.length, "\0").slice(0, name.length), bytes.indexOf(name));
  await writeFile(data!, bytes);
  return [backing!, json!, data!];
}

test("images that name files of the host, are encrypted, unpack without end, or are cut are refused, and nothing is left", async () => {
  await using directory = await temporaryDirectory("croft-test-import-");
  const at = (name: string) => join(directory.path, name);
  const [backing, json, data] = await thieves(directory.path, await secretIn(directory.path));
  const huge = at("huge.qcow2");
  await qemuImg("create", "-q", "-f", "qcow2", huge, "1T");
  const encrypted = at("encrypted.qcow2");
  const luks = ["-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"];
  await qemuImg("create", "-q", "--object", "secret,id=s,data=word", "-f", "qcow2", ...luks, encrypted, "1M");
  const plain = at("plain.raw");
  await writeFile(plain, Buffer.alloc(4 * 1024 * 1024, "content"));
  const cut = at("cut.qcow2");
  await qemuImg("convert", "-f", "raw", "-O", "qcow2", plain, cut);
  await truncate(cut, 2 * 1024 * 1024);
  const zeros = at("zeros");
  await (await open(zeros, "w").then(async (file) => (await file.truncate(64 * 1024 * 1024), file))).close();
  const bombs: string[] = [];
  for (const [ending, ...argv] of [
    ["zst", "zstd", "-q", "-c", zeros],
    ["xz", "xz", "-0", "-c", zeros],
  ] as const) {
    const { stdoutBytes } = await run(argv, limit);
    const bomb = at(`bomb.raw.${ending}`);
    for (let times = 0; times < 17; times++) await appendFile(bomb, stdoutBytes); // each a part of its own
    bombs.push(bomb);
  }
  const cutBomb = at("cut.raw.xz");
  await writeFile(cutBomb, readFileSync(bombs[1]!).subarray(0, 1000));
  for (const [image, wanted, options] of [
    [backing!, /has a backing file/],
    [json!, /has a backing file/],
    [data!, /external data file/],
    [huge, /its disk has 1\.0 TiB, more than 32\.0 GiB/],
    [encrypted, /is encrypted/],
    [cut, /is damaged or truncated/],
    [plain, /is no disk/],
    [plain, /is no qcow2 image/, { format: "qcow2" }],
    [huge, /is a qcow2 image, and its name or --format says raw/, { format: "raw" }],
    [bombs[0]!, /unpacks to more than 1\.0 GiB/, { maxGiB: 1 }],
    [bombs[1]!, /unpacks to more than 1\.0 GiB/, { maxGiB: 1 }],
    [cutBomb, /Unexpected end of input/],
    ['json:{"driver":"raw"}', /no such file/, { format: "raw" }],
  ] as readonly [string, RegExp, Wanted?][])
    assert.match(await refusal(directory.path, image, options), wanted, image);
});

test("an image that unpacks to more than there is room for is refused before it fills the file system", async () => {
  await using directory = await temporaryDirectory("croft-test-import-");
  const plain = join(directory.path, "plain.raw");
  await writeFile(plain, Buffer.alloc(64 * 1024 * 1024, "content"));
  const image = join(directory.path, "compressed.qcow2");
  await qemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", plain, image);
  const small = join(directory.path, "small");
  await mkdir(small);
  await run(["mount", "-t", "tmpfs", "-o", "size=40m", "croft-test", small], limit);
  try {
    const told = await refusal(small, image);
    assert.match(told, /: it unpacks to 64\.0 MiB, and there is room for 3\d\.\d MiB$/);
  } finally {
    await run(["umount", small], limit);
  }
});

test("of a host's files that images name none is opened", async (t) => {
  const tracer = ["strace", "-f", "-qq", "-e", "trace=open,openat,openat2"];
  const mayTrace = await run([...tracer, "true"], limit).then(
    () => true,
    () => false,
  );
  if (!mayTrace) return t.skip("strace is not there, or may not be used"); // which alone ends no test
  await using directory = await temporaryDirectory("croft-test-import-");
  const secret = await secretIn(directory.path);
  for (const [index, image] of (await thieves(directory.path, secret)).entries()) {
    const trace = join(directory.path, `trace${index}`);
    const croft = [process.execPath, packageFile("bin", "main.ts"), "machine", "import", "m", image];
    const place = ["--machines", join(directory.path, "machines")];
    const { status } = await run([...tracer, "-o", trace, ...croft, ...place], { ...limit, accept: [1] });
    assert.equal(status, 1);
    const opened = readFileSync(trace, "utf8");
    assert.ok(opened.includes(image), "the trace tells what is opened");
    assert.ok(
      !opened.includes("secret.raw"),
      opened.split("\n").find((line) => line.includes("secret.raw")),
    );
  }
});
