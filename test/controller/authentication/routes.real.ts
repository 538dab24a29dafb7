/** Every route that the router has, asked by everybody: nobody is answered who should not be, and nobody is locked out. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { after, before, describe, test } from "node:test";
import type { FastifyInstance } from "fastify";
import type { Role } from "../../../controller/authentication/tokens.ts";
import type { OpenController } from "../../../controller/controller.ts";
import { startServer } from "../../../controller/server.ts";
import { parseTaskResponse } from "../../../manifests/task-response.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { openFarm } from "../in-process.ts";
import { ask, makeKey, proofOf, taskRequest, withProof, writeKeys } from "./proof.ts";
import { routes, type Whom } from "./route-table.ts";

const known = makeKey();
const stranger = makeKey();
/** Each may what those before it may. */
const roles = ["read", "submit", "trusted", "admin"] as const satisfies Role[];
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const tokens = roles.map((role) => `{ name: ${role}, role: ${role}, sha256: ${sha256(role)} }`).join(", ");

/** Who asks: with which headers, and with which role, if the controller knows the token. */
const askers: Record<string, { headers: Record<string, string>; role?: Role }> = {
  "no token": { headers: {} },
  "a wrong token": { headers: { authorization: "Bearer wrong" } },
  "no token, but an empty one": { headers: { authorization: "Bearer " } },
  ...Object.fromEntries(
    roles.map((role) => [`the role '${role}'`, { headers: { authorization: `Bearer ${role}` }, role }]),
  ),
};

const controllers = {
  open: () => "",
  "with tokens and keys": (keys: string) => `tokens: [${tokens}]\nagents: { keys: ${keys} }\n`,
  private: (keys: string) => `tokens: [${tokens}]\nagents: { keys: ${keys} }\nprivate: true\n`,
};

/** The role that a route asks for; undefined: everybody's. A reader needs one of a private controller only, a submitter one if there are tokens. */
function neededRole(whom: Whom, kind: string): Role | undefined {
  if (whom === "known") return "read";
  if (whom === "truster") return "trusted";
  if (whom === "administrator") return "admin";
  if (whom === "submitter" && kind !== "open") return "submit";
  if (whom === "reader" && kind === "private") return "read";
  return undefined;
}

for (const [kind, configurationWith] of Object.entries(controllers))
  describe(`a controller that is ${kind}`, () => {
    const resources = new AsyncDisposableStack();
    let controller: OpenController;
    const found = new Set<string>();
    let url = "";
    before(async () => {
      const { path } = resources.use(await temporaryDirectory("croft-test-routes-"));
      const configuration = `listen: 127.0.0.1:0\n${configurationWith(writeKeys(path, known))}`;
      controller = resources.use(await openFarm("embedded", configuration));
      const note = (message: unknown) => {
        const { fastify } = message as { fastify: FastifyInstance };
        fastify.addHook("onRoute", ({ method, url: path }) => {
          for (const one of [method].flat()) if (one !== "HEAD") found.add(`${one} ${path}`);
        });
      };
      subscribe("fastify.initialization", note);
      ({ url } = resources.use(await startServer(controller)));
      unsubscribe("fastify.initialization", note);
      await submit();
    });
    after(() => resources.disposeAsync());

    const submit = () =>
      controller.builds.submit(
        { name: "hello", version: "1.0", repository: "https://x.org/x.git", targets: ["*"], priority: 0 },
        null,
      );

    /** The status of the answer; what it says is not waited for, as events have no end. */
    async function statusOf(route: string, headers: Record<string, string>): Promise<number> {
      const [method, path] = route.split(" ") as [string, string];
      const filled = path
        .replace(":id", "1")
        .replace(":attempt/:ordinal", "1/0")
        .replace(":file", "hello.svg")
        .replace(":digest/*", `${"0".repeat(64)}/x`)
        .replace(":session", "s".repeat(32))
        .replace(":type", "artifact");
      const abort = new AbortController();
      const answer = await fetch(url + filled, { method, headers, redirect: "manual", signal: abort.signal });
      abort.abort();
      return answer.status;
    }

    test("has no route that this table does not know", () => {
      assert.deepEqual([...found].sort(), Object.keys(routes).sort());
    });

    for (const [who, { headers, role: known }] of Object.entries(askers)) {
      if (kind === "open" && known) continue; // such a controller knows no token
      test(`answers to whoever has ${who} what is for them, and nothing else`, async () => {
        for (const [route, whom] of Object.entries(routes)) {
          if (whom === "agent" || whom === "forge") continue;
          const status = await statusOf(route, headers);
          const needed = neededRole(whom, kind);
          if (whom === "form") assert.ok(status === 403 || status === 401, `${route}: ${status}`);
          else if (needed && !known) assert.equal(status, 401, route);
          else if (needed && roles.indexOf(known!) < roles.indexOf(needed)) assert.equal(status, 403, route);
          else assert.ok(status !== 401 && status !== 403 && status < 500, `${route}: ${status}`);
        }
      });
    }

    test("takes results, logs and artifacts for sessions only, whatever token comes with them", async () => {
      for (const [route, whom] of Object.entries(routes)) {
        if (whom !== "agent" || route === "POST /agent/task") continue;
        for (const { headers } of Object.values(askers)) {
          const status = await statusOf(route, { "content-type": "application/octet-stream", ...headers });
          assert.ok(status >= 400 && status < 500, `${route}: ${status}`);
        }
      }
    });

    test("gives builds to the agents that it is for", async () => {
      for (let count = 0; count < 5; count++) await submit(); // one for each who asks
      const given = async (fingerprint: string | undefined, proof?: (body: Uint8Array) => string) => {
        const body = taskRequest(fingerprint);
        const { status, text } = await ask(`${url}/agent/task`, body, proof ? withProof(proof(body)) : {});
        if (status !== 200) return status;
        return parseTaskResponse(Buffer.from(text)).session === "" ? "nothing" : "a build";
      };
      const good = (body: Uint8Array) => proofOf(known, { url: `${url}/agent/task`, body });
      const another = (body: Uint8Array) => proofOf(stranger, { url: `${url}/agent/task`, body });
      const asked = {
        "no key": await given(undefined),
        "an unknown key": await given(stranger.fingerprint, another),
        "a known fingerprint, signed with another key": await given(known.fingerprint, another),
        "a known fingerprint without its key": await given(known.fingerprint),
        "a known key": await given(known.fingerprint, good),
      };
      const expected = {
        open: ["a build", "a build", "a build", "a build", "a build"],
        "with tokens and keys": [401, 403, "a build", "a build", "a build"],
        private: [401, 403, 401, 401, "a build"],
      };
      assert.deepEqual(Object.values(asked), expected[kind as keyof typeof expected], JSON.stringify(asked));
    });
  });
