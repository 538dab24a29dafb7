/** A controller with an agent's key, people with tokens, and secrets; and the agent's side of it, spoken byte by byte. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatTaskRequest } from "../../../manifests/task-request.ts";
import { type ReceivedTask, makeFarm, receivedTask, type Farm, type RunningController } from "../farm.ts";
import { makeKey, proofOf, writeKeys, type Key } from "../authentication/proof.ts";

const digest = (text: string) => createHash("sha256").update(text).digest("hex");

/** Who has which token; each is the word of its role, made long enough to be one. */
export const bearer = (role: "read" | "submit" | "trusted" | "admin") => ({
  authorization: `Bearer ${role}-of-a-person`,
});

export interface SecretFarm extends AsyncDisposable {
  farm: Farm;
  controller: RunningController;
  url: string;
  key: Key;
}

/** Starts it; `more` is YAML. */
export async function openSecretFarm(more = ""): Promise<SecretFarm> {
  await using stack = new AsyncDisposableStack();
  const farm = stack.use(await makeFarm());
  const key = makeKey();
  const tokens = (["read", "submit", "trusted", "admin"] as const).map(
    (role) => `  - { name: ${role}, role: ${role}, sha256: ${digest(`${role}-of-a-person`)} }\n`,
  );
  writeFileSync(
    join(farm.directory, "controller.yaml"),
    `agents: { keys: ${writeKeys(farm.directory, key)} }\ntokens:\n${tokens.join("")}${more}`,
  );
  const controller = stack.use(await farm.start());
  const held = stack.move();
  return { farm, controller, url: controller.url, key, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** What an interface answers, whose shape the test knows. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any;

/** Asks the interface for JSON. */
export async function call(
  url: string,
  method: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string; json: Json }> {
  const response = await fetch(url, {
    method,
    headers: { ...headers, ...(body ? { "content-type": "application/json" } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.status, text, json };
}

/** Sets a secret as an administrator. */
export async function setSecret(
  url: string,
  name: string,
  value: string,
  repository?: string,
): Promise<void> {
  const body = { name, value, ...(repository === undefined ? {} : { repository }) };
  const { status, text } = await call(`${url}/api/v1/secrets`, "POST", body, bearer("admin"));
  if (status !== 201) throw new Error(text);
}

/** Submits a build with somebody's token. */
export async function submitAs(
  url: string,
  role: Parameters<typeof bearer>[0],
  changes: object = {},
): Promise<{ status: number; text: string; json: Json }> {
  const body = { name: "hello", repository: "https://example.org/hello.git", ...changes };
  return await call(`${url}/api/v1/builds`, "POST", body, bearer(role));
}

/** Asks for a task, with a proof unless told; the headers of the answer, and the task if there is one. */
export async function askForTask(
  url: string,
  key: Key,
  { proof = true, abilities = "proof, secrets", agent = "host-1" } = {},
): Promise<{ headers: Headers; task: ReceivedTask }> {
  const body = new Uint8Array(
    formatTaskRequest({
      agent,
      toolchainName: "default",
      toolchainVersion: "1.0.0",
      machines: [{ id: "debian_13-1.0", name: "debian_13", summary: "Debian 13" }],
      fingerprint: key.fingerprint,
    }),
  );
  const target = `${url}/agent/task`;
  const response = await fetch(target, {
    method: "POST",
    headers: {
      "content-type": "text/manifest",
      "croft-agent": `1.0.0; ${abilities}`,
      ...(proof ? { "croft-proof": proofOf(key, { url: target, body }) } : {}),
    },
    body,
  });
  return { headers: response.headers, task: await receivedTask(response) };
}

/** Fetches what the machine is given. */
export async function fetchHanded(
  url: string,
  key: Key | undefined,
): Promise<{ status: number; text: string }> {
  const body = Buffer.from("secrets\n");
  const proof = key && { "croft-proof": proofOf(key, { url, body }) };
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "text/manifest", ...proof },
    body,
  });
  return { status: response.status, text: await response.text() };
}
