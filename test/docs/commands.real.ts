/** What documents show of other programs' commands, run as they stand: keys, tokens, and a bridge of one's own. */
import assert from "node:assert/strict";
import { createHash, createPublicKey } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readAgentKeys } from "../../controller/authentication/key-files.ts";
import { readControllerConfiguration } from "../../controller/configuration.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { run } from "../../os/run.ts";
import { patienceSeconds } from "../fixtures/patience.ts";
import { documents } from "./documents.ts";

/** The blocks of a document that have a command of a program. */
function scriptsWith(path: string, command: string): string[] {
  const found = documents()
    .find((document) => document.path === path)!
    .blocks.filter(({ language, text }) => language === "sh" && text.includes(command))
    .map(({ text }) => text);
  assert.ok(found.length > 0, `${path} shows no ${command}`);
  return found;
}

/** Runs the lines of a script that are no command of croft. */
async function types(script: string, directory: string, before: readonly string[] = []): Promise<string> {
  const lines = script.replaceAll("/etc/croft/", `${directory}/`).split("\n");
  const rest = lines.filter((line) => !line.startsWith("croft "));
  const argv = [...before, "sh", "-e", "-c", rest.join("\n")];
  return (await run(argv, { cwd: directory, timeoutSeconds: patienceSeconds })).stdout;
}

test("the keys of an agent, made as the documents say, are a pair that a controller reads", async () => {
  for (const document of ["docs/agent.md", "docs/controller.md"]) {
    await using directory = await temporaryDirectory("croft-test-documents-");
    await types(scriptsWith(document, "openssl genrsa")[0]!, directory.path);
    const at = (name: string) => readFileSync(join(directory.path, name), "utf8");
    const half = createPublicKey(at("agent.key")).export({ type: "spki", format: "pem" });
    assert.equal(at("agent.pem"), half, document);
    mkdirSync(join(directory.path, "keys"));
    writeFileSync(join(directory.path, "keys", "agent.pem"), at("agent.pem"));
    assert.equal(readAgentKeys(join(directory.path, "keys")).length, 1);
  }
});

test("the digest of a token, made as the documents say, is the one that a controller is configured with", async () => {
  await using directory = await temporaryDirectory("croft-test-documents-");
  const said = await types(scriptsWith("docs/controller.md", "openssl rand")[0]!, directory.path);
  const token = readFileSync(join(directory.path, "token"), "utf8").trim();
  const sha256 = said.split(" ")[0]!;
  assert.equal(sha256, createHash("sha256").update(token).digest("hex"));
  const config = join(directory.path, "controller.yaml");
  writeFileSync(config, `tokens:\n  - name: ann\n    sha256: ${sha256}\n`);
  assert.equal(readControllerConfiguration({ config }).tokens[0]!.sha256, sha256);
});

test("a bridge and its rules are made as the documents say", async () => {
  await using directory = await temporaryDirectory("croft-test-documents-");
  const script = [
    scriptsWith("docs/bridge.md", "ip link add")[0],
    scriptsWith("docs/bridge.md", "nft add table inet site")[0],
    "ip -4 address show dev br1",
    "nft list ruleset",
  ].join("\n");
  const said = await types(script, directory.path, ["unshare", "--net", "--mount-proc", "--pid", "--fork"]);
  assert.match(said, /inet 10\.7\.0\.1\/24/);
  assert.match(said, /ip saddr 10\.7\.0\.0\/24 oifname != "br1" masquerade/);
  assert.match(said, /iifname "br1" ip daddr .* drop/);
});
