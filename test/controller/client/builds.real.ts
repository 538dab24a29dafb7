/** What has become of a build, from the command line: `croft show`, `croft log` in part, `croft artifacts`. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import type { TSchema } from "typebox";
import Value from "typebox/value";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../os/files/temporary.ts";
import { run, type RunResult } from "../../../os/run.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";
import { routes } from "../authentication/route-table.ts";
import { makeFarm, requestTask, sendResult, submit, type Farm, type ReceivedTask } from "../farm.ts";

/** Of an OpenAPI document, what is looked at. */
interface Description {
  paths: Record<
    string,
    Record<string, { responses: Record<string, { content: Record<string, { schema: unknown }> }> }>
  >;
}

/** A schema that fields have no place in which it does not name. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return "properties" in inner ? { ...inner, additionalProperties: false } : inner;
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

describe("a build that has ended", () => {
  let farm: Farm;
  let url: string;
  let directory: TemporaryDirectory;
  let id: string;
  before(async () => {
    farm = await makeFarm();
    url = (await farm.start()).url;
    directory = await temporaryDirectory("croft-test-client-");
    id = String(await submit(url));
    await sendResult(await requestTask(url, { agent: "host-a" }), "abort", [["update", "abort", "gone\n"]]);
    const task = await requestTask(url, { agent: "host-b" });
    await upload(task, "lib/a b.so", "content");
    await upload(task, "hello.tar.gz", "archive");
    const log = "cc a.c\na.c:1: error: no\nabc error: too\n";
    await sendResult(task, "error", [
      ["configure", "success", "checking\n"],
      ["update", "error", log],
    ]);
  });
  after(async () => {
    await farm?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });

  function croft(...args: string[]): Promise<RunResult> {
    const env = { ...process.env, CROFT_CONTROLLER: url };
    const argv = [process.execPath, packageFile("bin", "main.ts"), ...args];
    return run(argv, { timeoutSeconds: patienceSeconds, env, accept: [1, 2] });
  }

  test("is shown with its attempts, operations and artifacts", async () => {
    const { stdout } = await croft("show", id);
    assert.match(stdout, /^build 1: hello\/1\.2\.3 for default\n/);
    assert.match(stdout, /^ {2}state +finished: error$/m);
    assert.match(stdout, /^ {2}attempts +2 \(1 abort\)$/m);
    assert.match(stdout, /^1 +host-a +debian_13 +abort .*\n2 +host-b +debian_13 +error /m);
    assert.match(stdout, /^configure +success +0 +0 +1 line\nupdate +error +2 +0 +3 lines$/m);
    assert.match(stdout, new RegExp(`^lib/a b\\.so +2 +7 bytes +${sha256("content")}$`, "m"));
    assert.doesNotMatch(stdout, /it waits/);
    const json = JSON.parse((await croft("show", id, "--json")).stdout) as { attempts: unknown[] };
    assert.equal(json.attempts.length, 2);
    assert.match((await croft("show", "99")).stderr, /: there is no build 99\n$/);
  });

  test("that waits is shown with its reason", async () => {
    const waiting = await submit(url, { machine: "vax" });
    assert.match((await croft("show", String(waiting))).stdout, /^ {2}it waits +no agent /m);
  });

  test("has a log for each operation and attempt, which can be searched", async () => {
    assert.equal((await croft("log", id, "--operation", "configure")).stdout, "checking\n");
    assert.equal((await croft("log", id, "--attempt", "1")).stdout, "==> update: abort\ngone\n");
    const none = await croft("log", id, "--operation", "test");
    assert.deepEqual([none.status, none.stdout], [1, ""]);
    assert.match(none.stderr, /the attempt has no operation 'test'/);
    const found = await croft("log", id, "--operation", "update", "--search", "error:");
    assert.deepEqual([found.status, found.stdout.split("\n")[0]], [0, "2:a.c:1: error: no"]);
    assert.match(found.stdout, /^3:abc error: too$/m);
    const missed = await croft("log", id, "--search", "warning");
    assert.deepEqual([missed.status, missed.stdout, missed.stderr], [1, "", ""]);
    assert.equal((await croft("log", id, "--follow", "--search", "x")).status, 2);
  });

  test("has artifacts that are listed, fetched and checked", async () => {
    const listed = await croft("artifacts", id);
    assert.match(listed.stdout, /^hello\.tar\.gz +7 bytes +[0-9a-f]{64}$/m);
    assert.equal((await croft("artifacts", id, "--attempt", "1")).stdout, "no artifacts\n");
    const place = join(directory.path, "here");
    for (const time of ["first", "again"]) {
      assert.equal((await croft("artifacts", id, "--download", place)).status, 0, time);
      assert.deepEqual((await readdir(place)).sort(), ["hello.tar.gz", "lib"]);
      assert.equal(await readFile(join(place, "lib", "a b.so"), "utf8"), "content");
    }
    const into = await croft("artifacts", id, "--download", join(place, "hello.tar.gz"));
    assert.match(
      into.stderr,
      /^croft: Cannot fetch artifact '.*': (a part of the path is not a directory|it exists already)\n$/,
    );
  });

  test("of a controller that is wrong leaves no file with that name, and none elsewhere", async () => {
    const wrong = [
      ["../evil", "its name leads out of the directory"],
      ["/etc/evil", "its name leads out of the directory"],
      ["evil", `it has the SHA-256 ${sha256("other")}, and not ${sha256("content")}`],
    ] as const;
    for (const [name, reason] of wrong) {
      const server = createServer((request, response) => {
        const artifacts = [{ attempt: 1, type: "package", name, sha256: sha256("content"), bytes: 7 }];
        response.end(request.url!.includes("/artifacts/") ? "other" : JSON.stringify({ artifacts }));
      }).listen(0, "127.0.0.1");
      await once(server, "listening");
      const place = join(directory.path, "place", "below");
      const controller = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const { status, stderr } = await croft(
        "artifacts",
        "1",
        "--download",
        place,
        "--controller",
        controller,
      );
      server.close();
      assert.deepEqual([status, stderr], [1, `croft: Cannot fetch artifact '${name}': ${reason}\n`]);
      const left = await readdir(join(directory.path, "place"), { recursive: true }).catch(() => []);
      assert.deepEqual(
        left.filter((one) => one !== "below"),
        [],
      );
    }
  });

  test("is told to programs as the interface's own description says, and so is all else", async () => {
    const document = (await (await fetch(`${url}/api/v1/openapi.json`)).json()) as Description;
    assert.deepEqual(await new Validator().validate({ ...document }), { valid: true });
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const existing = Object.keys(routes)
      .filter((route) => route.includes(" /api/v1/"))
      .map((route) => route.replaceAll(/:(\w+)/g, "{$1}").replace("*", "{name}"));
    assert.deepEqual(described.sort(), existing.sort());
    const asked = ["builds", "agents", "machines", "targets", "queue", "pauses", "approvals"];
    for (const path of [...asked, "builds/{id}"]) await check(document, "get", path, 200);
    await check(document, "post", "builds/{id}/pin", 200);
    await check(document, "post", "builds/{id}/rebuild", 201);
  });

  async function check(document: Description, method: string, path: string, status: number): Promise<void> {
    const answer = await fetch(`${url}/api/v1/${path.replace("{id}", id)}`, { method });
    assert.equal(answer.status, status, path);
    const { responses } = document.paths[`/api/v1/${path}`]![method]!;
    const schema = closed(responses[String(status)]!.content["application/json"]!.schema);
    const problems = Value.Errors(schema as TSchema, await answer.json());
    assert.deepEqual(
      problems.map((one) => `${path}${one.instancePath}: ${one.message}`),
      [],
    );
  }

  async function upload(task: ReceivedTask, name: string, content: string): Promise<void> {
    const form = new FormData();
    form.set("session", task.session);
    form.append("sha256", sha256(content));
    form.append("file", new Blob([content]), name);
    const { status } = await fetch(task.uploadUrls["package"]!, { method: "POST", body: form });
    assert.equal(status, 204);
  }
});
