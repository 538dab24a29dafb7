/** Private repositories: a real git server over https that wants a password, and one over ssh that wants a key. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { formatHandedSecrets, type HandedCredential } from "../../../manifests/own/handed-secrets.ts";
import { fetchFile } from "../../../controller/source-file/fetch.ts";
import { run } from "../../../os/run.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../os/files/temporary.ts";
import { makeRepository, serveGit, type GitServer } from "../../fixtures/services/git-server.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { freePort } from "../../fixtures/ports.ts";
import { logOf, runGuest, statuses, type GuestOptions } from "../guest.ts";
import { script, writeTree } from "../sources.ts";
import { makeCertificate } from "../../fixtures/services/certificate.ts";

const password = 'pa$s"w\\ord-1234';
const timeout = { timeoutSeconds: 300 };
let directory: TemporaryDirectory;
let https: GitServer;
let sshd: ChildProcess;
let sshPort: number;
let certificate: string;
const at = (name: string) => join(directory.path, name);

before(async () => {
  directory = await temporaryDirectory("croft-test-private-");
  await mkdir(at("tree"));
  await writeTree(at("tree"), {
    ".croft/update": script(
      'echo "token has ${#DEPLOY_TOKEN} characters"',
      'echo "left: $(ls -A /run/croft/secrets | grep -c credential)"',
      "git config --list | grep -c pa.s || true",
    ),
  });
  for (const team of ["team", "other"])
    await makeRepository(at("repositories"), `${team}/hello.git`, at("tree"), "v1.0");
  await makeCertificate({ key: at("tls.key"), cert: at("tls.pem") }, "IP:127.0.0.1");
  certificate = readFileSync(at("tls.pem"), "utf8");
  https = await serveGit(at("repositories"), {
    tls: { key: readFileSync(at("tls.key"), "utf8"), cert: certificate },
    login: { user: "bot", password },
  });
  sshPort = await freePort();
  sshd = await startSshd();
});

after(async () => {
  sshd.kill("SIGKILL");
  await https[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

async function startSshd(): Promise<ChildProcess> {
  for (const name of ["host", "user", "stranger"])
    await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at(name)], timeout);
  await writeFile(at("authorized"), readFileSync(at("user.pub")), { mode: 0o600 });
  await chmod(directory.path, 0o755);
  await writeFile(
    at("sshd_config"),
    `Port ${sshPort}\nListenAddress 127.0.0.1\nHostKey ${at("host")}\nAuthorizedKeysFile ${at("authorized")}\n` +
      "PasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n",
  );
  await mkdir("/run/sshd", { recursive: true });
  const child = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", at("sshd_config")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const listening = (async () => {
    let said = "";
    for await (const piece of child.stderr) {
      said += String(piece);
      if (said.includes("Server listening")) return;
    }
    throw new Error(`sshd: ${said}`);
  })();
  await Promise.race([
    listening,
    delay(patienceMs, undefined, { ref: false }).then(() => Promise.reject(new Error("sshd is not ready"))),
  ]);
  child.stderr.resume();
  return child;
}

/** A guest that is given secrets as an agent gives them where there is no control port. */
function build(repository: string, credentials: HandedCredential[], variables: Record<string, string> = {}) {
  const options: GuestOptions = {
    shell: "dash",
    task: { "repository-url": repository, "repository-type": "git", secrets: "given" },
    files: { "/etc/ssl/own.pem": certificate },
    setup:
      "mkdir -p /etc/croft; echo 'export GIT_SSL_CAINFO=/etc/ssl/own.pem GIT_CONFIG_GLOBAL=/dev/null' > /etc/croft/worker.conf\n",
    secrets: formatHandedSecrets({ variables, credentials }),
  };
  return runGuest(options);
}

describe("over https", () => {
  const given = (path: string, more: Partial<HandedCredential> = {}): HandedCredential => ({
    url: `https://127.0.0.1:${https.port}/${path}`,
    ...{ scope: "below", user: "bot", password },
    ...more,
  });

  test("with the password it is built, has its variable, and nothing of the password is left for it", async () => {
    const built = await build(https.url("team/hello.git"), [given("team")], { DEPLOY_TOKEN: "0123456789" });
    assert.equal(built.result.status, "success", JSON.stringify(built.result.operations));
    assert.match(logOf(built.result, "update"), /token has 10 characters\nleft: 0\n0/);
    assert.ok(!built.manifest.includes(password) && !built.console.includes(password));
  });

  for (const [what, credential] of [
    ["without any", () => []],
    ["with another password", () => [given("team", { password: "wrong-password" })]],
    ["with one of another place on the same server", () => [given("other")]],
    ["with one of a place that only begins alike", () => [given("te")]],
    ["with one for another repository alone", () => [given("team/hell", { scope: "exact" })]],
  ] as [string, () => HandedCredential[]][])
    test(`${what} it cannot be fetched`, async () => {
      const { result } = await build(https.url("team/hello.git"), credential());
      assert.deepEqual(statuses(result), ["fetch error"]);
    });
});

describe("over ssh", () => {
  const url = () => `ssh://root@127.0.0.1:${sshPort}${at("repositories")}/team/hello.git`;
  const given = (key: string, host = "host"): HandedCredential => ({
    url: `ssh://127.0.0.1:${sshPort}${at("repositories")}/team`,
    scope: "below",
    key: readFileSync(at(key), "utf8").trimEnd(),
    knownHosts: `[127.0.0.1]:${sshPort} ${readFileSync(at(`${host}.pub`), "utf8").trim()}`,
  });

  test("with the key it is built", async () => {
    const built = await build(url(), [given("user")]);
    assert.equal(built.result.status, "success", JSON.stringify(built.result.operations));
    assert.ok(!built.manifest.includes("OPENSSH PRIVATE KEY"));
  });

  for (const [what, credential] of [
    ["without any", () => []],
    ["with another key", () => [given("stranger")]],
    ["from a server that is not the one that is known", () => [given("user", "stranger")]],
  ] as [string, () => HandedCredential[]][])
    test(`${what} it cannot be fetched`, async () => {
      const { result } = await build(url(), credential());
      assert.deepEqual(statuses(result), ["fetch error"]);
    });
});

describe("a controller that reads a file of one", () => {
  const read = (url: string, protocol: string, credential?: HandedCredential) =>
    fetchFile({
      ...{ url, what: "refs/tags/v1.0", file: ".croft/update", protocols: [protocol] },
      ...(credential && { credential: { ...credential, scope: "exact" } }),
    });

  test("logs in by password, and is refused without, and tells it to nobody else", async () => {
    const login = { user: "bot", password: "a%41 b:c@d/e'1234" };
    await using server = await serveGit(at("repositories"), { login });
    const url = server.url("team/hello.git");
    const given = { url, scope: "exact", ...login } as const;
    assert.match((await read(url, "http", given)).text ?? "", /token has/);
    const refused = (error: Error) =>
      /Cannot read/.test(error.message) && !error.message.includes(login.password);
    await assert.rejects(read(url, "http"), refused);
    await assert.rejects(read(url, "http", { ...given, password: "another-one" }), refused);
  });

  test("logs in by key at a server that it knows, and is refused with another key, or by another server", async () => {
    const url = `ssh://127.0.0.1:${sshPort}${at("repositories")}/team/hello.git`;
    const pub = (name: string) =>
      readFileSync(at(`${name}.pub`), "utf8")
        .split(" ")
        .slice(0, 2)
        .join(" ");
    const given = (key: string, host: string) => ({
      ...({ url, scope: "exact", user: "root", key: readFileSync(at(key), "utf8").trim() } as const),
      knownHosts: `[127.0.0.1]:${sshPort} ${pub(host)}`,
    });
    assert.match((await read(url, "ssh", given("user", "host"))).text ?? "", /token has/);
    await assert.rejects(read(url, "ssh", given("stranger", "host")), /Permission denied/);
    await assert.rejects(read(url, "ssh", given("user", "stranger")), /Host key verification failed/);
  });
});
