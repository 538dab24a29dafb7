/** `croft doctor` as a process on this host: with all as it should be, and with one thing broken after another. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { Finding, Level } from "../../../agent/doctor/check.ts";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { btrfsFileSystem } from "../../fixtures/machines/btrfs.ts";
import { freePort } from "../../fixtures/ports.ts";
import { FakeController } from "../fake-controller.ts";
import { AgentHome } from "../running-agent.ts";
import { makeCertificate } from "../../fixtures/services/certificate.ts";

interface Report {
  status: number;
  findings: Finding[];
  /** The one finding of the subject at this level. */
  find(level: Level, subject: string): Finding;
}

/** Directories of one host, all as they should be. */
class Host implements AsyncDisposable {
  readonly path: string;
  readonly #directory: AsyncDisposable;

  private constructor(path: string, directory: AsyncDisposable) {
    this.path = path;
    this.#directory = directory;
  }

  static async make(): Promise<Host> {
    const directory = await temporaryDirectory("croft-test-doctor-");
    mkdirSync(join(directory.path, "machines"));
    return new Host(directory.path, directory);
  }

  at(name: string): string {
    return join(this.path, name);
  }

  args(...args: string[]): string[] {
    const places = ["machines", "tftp", "spool", "runtime"].flatMap((name) => [`--${name}`, this.at(name)]);
    return [...places, "--storage", "directory", "--toolchain-lock", this.at("toolchain.lock"), ...args];
  }

  async ask(args: readonly string[]): Promise<Report> {
    const { status, stdout } = await doctor("--json", ...args);
    const { findings, ok } = JSON.parse(stdout) as { findings: Finding[]; ok: boolean };
    assert.equal(ok, status === 0);
    return {
      status,
      findings,
      find: (level, subject) => {
        const found = findings.filter((finding) => finding.subject === subject && finding.level === level);
        assert.equal(found.length, 1, `${level} ${subject} in ${stdout}`);
        if (level !== "ok") assert.ok(found[0]!.fix, "what to do about it");
        return found[0]!;
      },
    };
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#directory[Symbol.asyncDispose]();
  }
}

function doctor(...args: string[]) {
  const argv = [process.execPath, packageFile("bin", "croft.js"), "doctor", ...args];
  return run(argv, { timeoutSeconds: 300, accept: [1, 2] });
}

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

test("a host as it should be: one line each, exit status 0, nothing left behind", async () => {
  await using host = await Host.make();
  await using controller = await FakeController.start();
  await run(["openssl", "genrsa", "-out", host.at("key"), "2048"], { timeoutSeconds: 300 });
  const before = readdirSync(host.path).sort();
  const given = host.args("--auth-key", host.at("key"), controller.url("/task?token=s3cr3t"));
  const { status, stdout } = await doctor(...given);
  assert.equal(status, 0, stdout);
  const lines = stdout.trimEnd().split("\n");
  assert.match(lines.at(-1)!, /^0 problems, \d+ warnings?$/);
  for (const line of lines.slice(0, -1)) assert.match(line, /^(ok {7}|warning {2})\S.*: ./);
  for (const subject of [
    "Node.js",
    "QEMU",
    "machines space",
    "snapshots",
    "spool",
    "toolchain lock",
    "TFTP port",
  ])
    assert.match(stdout, new RegExp(`^ok +${subject}: `, "m"));
  assert.match(stdout, /^ok +key: .*fingerprint [0-9a-f]{64}$/m);
  assert.match(stdout, /^ok +controller http:\S+\/task\?token=\*\*\*: answers/m);
  assert.match(stdout, /^warning +build machines: there are none .*croft machine create/m);
  assert.match(stdout, /^warning +network: .*10\.0\.2\.2/m);
  assert.match(
    stdout,
    /^(ok|warning) +hardware virtualization: (a guest ran with|KVM runs|KVM does not run)/m,
  );
  assert.doesNotMatch(stdout, /s3cr3t/);
  assert.deepEqual(readdirSync(host.path).sort(), before);
  assert.deepEqual(readdirSync(host.at("machines")), []);
  assert.ok(
    controller.received.every(({ body }) => body.length === 0),
    "no task is asked for",
  );
});

test("each thing that is broken is a problem of its own, and makes the exit status 1", async () => {
  await using host = await Host.make();
  const taken = createSocket("udp4")
    .bind(await freePort(), "127.0.0.1")
    .unref();
  await once(taken, "listening");
  const status = createServer();
  const statusPort = await listening(status);
  writeFileSync(host.at("key"), "no key", { mode: 0o644 });
  writeFileSync(host.at("file"), "");
  const args = [
    ...host.args("--auth-key", host.at("key")),
    ...["--tftp-port", String(taken.address().port - 1)],
    ...["--status-listen", `127.0.0.1:${statusPort}`],
    ...["--machines", host.at("nowhere"), "--spool", host.at("file")],
    ...["--toolchain-lock", host.at("nowhere/lock")],
    ...["--network", "bridge", "--bridge", "croft-no-br"],
    ...["--qemu", "/nonexistent/qemu"],
    "http://127.0.0.1:1/task",
  ];
  const report = await host.ask(args);
  assert.equal(report.status, 1);
  assert.match(report.find("problem", "TFTP port").text, /the address is in use/);
  assert.match(report.find("problem", "status port").text, /the address is in use/);
  assert.match(report.find("problem", "machines directory").fix!, /mkdir -p/);
  assert.match(report.find("problem", "spool").text, /is no directory/);
  assert.match(report.find("problem", "toolchain lock").text, /there is no directory/);
  assert.match(report.find("problem", "bridge").text, /croft-no-br.*there is no such interface/);
  assert.match(report.find("problem", "tap interfaces").text, /croft-no-br/);
  assert.match(report.find("problem", "QEMU").text, /no such program/);
  assert.equal(report.find("problem", "software emulation").level, "problem");
  assert.match(report.find("problem", "controller http://127.0.0.1:1/task").text, /connection refused/);
  const keys = report.findings.filter(({ subject }) => subject === "key").map(({ text }) => text);
  assert.match(keys[0]!, /everybody may read .*mode 0644/);
  assert.match(keys[1]!, /Cannot use the key/);
  taken.close();
  status.close();
});

test("controllers that hang, redirect, fail, show a foreign certificate or have another time", async () => {
  await using host = await Host.make();
  const [key, certificate] = [host.at("tls.key"), host.at("tls.pem")];
  await makeCertificate({ key, cert: certificate }, "DNS:localhost");
  const answers: Record<string, [number, Record<string, string>]> = {
    "/late": [404, { Date: new Date(Date.now() - 3_600_000).toUTCString() }],
    "/moved": [301, { Location: "https://elsewhere.example/" }],
    "/broken": [502, {}],
  };
  const plain = createHttpServer(
    (request, response) => void response.writeHead(...answers[request.url!]!).end(),
  );
  const secure = createTlsServer({ key: readFileSync(key), cert: readFileSync(certificate) });
  const deaf = createServer(() => {});
  const [http, https, hang] = [await listening(plain), await listening(secure), await listening(deaf)];
  const at = (path: string) => `http://127.0.0.1:${http}${path}`;
  const hung = `http://127.0.0.1:${hang}/task`;
  const foreign = `https://127.0.0.1:${https}/task`;
  const report = await host.ask(host.args(at("/late"), at("/moved"), at("/broken"), hung, foreign));
  assert.equal(report.status, 1);
  assert.match(report.find("ok", `controller ${at("/late")}`).text, /404/);
  const clocks = report.findings.filter(({ subject: of, text }) => of === "clock" && /ahead/.test(text));
  assert.match(clocks[0]!.text, /this host's is (1h00m|59m\d\ds) ahead of that of http:\S+\/late/);
  assert.match(report.find("problem", `controller ${at("/moved")}`).text, /redirects to https:\/\/elsewhere/);
  assert.match(report.find("warning", `controller ${at("/broken")}`).text, /502/);
  assert.match(report.find("problem", `controller ${hung}`).text, /no answer within/);
  assert.match(report.find("problem", `controller ${foreign}`).fix!, /NODE_EXTRA_CA_CERTS/);
  for (const server of [plain, secure, deaf]) server.close();
  plain.closeAllConnections();
  secure.closeAllConnections();
});

test("a small btrfs file system: subvolumes are really made and removed; too little space is a problem", async () => {
  await using host = await Host.make();
  await using fileSystem = await btrfsFileSystem({ sizeMiB: 256 });
  mkdirSync(join(fileSystem.path, "volume"));
  const report = await host.ask(host.args("--machines", fileSystem.path, "--storage", "auto"));
  assert.equal(report.status, 1);
  assert.match(report.find("ok", "snapshots").text, /btrfs subvolumes at .*volume/);
  assert.match(report.find("ok", "btrfs metadata").text, /not allocated/);
  assert.match(report.find("problem", "machines space").text, /MiB free at .*1\.0 GiB are needed/);
  assert.match(report.find("warning", "controllers").text, /none given/);
  const { stdout } = await run(["btrfs", "subvolume", "list", fileSystem.path], { timeoutSeconds: 300 });
  assert.equal(stdout, "");
  assert.deepEqual(readdirSync(join(fileSystem.path, "volume")), []);
});

test("a bridge, nftables and a tap interface are tried, and removed again", async () => {
  await using host = await Host.make();
  const bridge = `crdoc${process.pid % 100_000}`;
  const ip = (...args: string[]) => run(["ip", ...args], { timeoutSeconds: 300 });
  await ip("link", "add", bridge, "type", "bridge");
  await using _ = { [Symbol.asyncDispose]: async () => void (await ip("link", "delete", bridge)) };
  const args = host.args("--network", "bridge", "--bridge", bridge);
  assert.match((await host.ask(args)).find("problem", "bridge").fix!, new RegExp(`ip link set ${bridge} up`));
  await ip("link", "set", bridge, "up");
  await ip("address", "add", "198.51.100.1/29", "dev", bridge);
  const report = await host.ask(args);
  assert.equal(report.status, 0, JSON.stringify(report.findings));
  assert.match(report.find("ok", "bridge").text, /198\.51\.100\.1/);
  report.find("ok", "firewall");
  assert.doesNotMatch((await run(["nft", "list", "tables"], { timeoutSeconds: 300 })).stdout, /croft/);
  report.find("ok", "tap interfaces");
  assert.match(report.find("ok", "TFTP port").text, /198\.51\.100\.1:23401/);
  assert.equal(
    readdirSync("/sys/class/net").some((name) => name.startsWith("croftdoc")),
    false,
  );
});

test("a running agent is not disturbed, and its ports are no problem", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const free = createServer();
  const port = await listening(free);
  free.close();
  const listen = ["--status-listen", `127.0.0.1:${port}`];
  const agent = home.start([...listen, controller.url("/task")]);
  await controller.requests("/task", 1);
  const places = ["machines", "tftp", "spool", "runtime"].flatMap((name) => [`--${name}`, home.at(name)]);
  const { stdout } = await doctor(...places, "--storage", "directory", ...listen, controller.url("/task"));
  assert.match(
    stdout,
    new RegExp(`^ok +status port: .*is used by the running agent \\(process \\d+\\)$`, "m"),
  );
  agent.child.kill("SIGTERM");
  assert.equal((await agent.ended).status, 0);
});

test("wrong usage and a wrong configuration file have exit status 2; --help says so", async () => {
  await using host = await Host.make();
  assert.equal((await doctor("--no-such-option")).status, 2);
  assert.equal((await doctor(...host.args("ftp://example.org/"))).status, 2);
  writeFileSync(host.at("agent.yaml"), "tftp-port: many\n");
  const wrong = await doctor("--config", host.at("agent.yaml"));
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /agent\.yaml:1:1: tftp-port/);
  assert.match(
    (await doctor("--help")).stdout,
    /Exit status: 0 fine \(warnings allowed\), 1 problems, 2 wrong usage/,
  );
});
