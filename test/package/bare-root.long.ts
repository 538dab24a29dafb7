/**
 * From nothing to a farm, as a newcomer does it in a bare Debian
 *
 * It has systemd, and Node.js and npm of its own; the package is installed there, and of Debian's packages only those that
 * croft asks for. What is typed, and what comes of it, is told.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { copyFile, mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../os/files/temporary.ts";
import { run } from "../../os/run.ts";
import { tutorialScript } from "../boss/tutorial.ts";
import { freePort } from "../fixtures/ports.ts";
import { Container } from "../systemd/container.ts";
import { serveSources, type Sources } from "../worker/sources.ts";
import {
  buildsFine,
  completesCommands,
  copiesMachine,
  importsCutImage,
  looksAtManifests,
  Newcomer,
  readsHelp,
  usesBoss,
  usesFarm,
} from "./newcomer.ts";
import { packPackage, systemEnvironment } from "./pack.ts";

const packages = "nodejs,npm,ca-certificates,systemd-sysv,dbus";
const cached = packageFile(".cache", "roots", "bare-bookworm.tar");
const certificates = "/etc/ssl/certs/ca-certificates.crt";
const environment = [
  ...["env", "-i", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER="],
  `NODE_EXTRA_CA_CERTS=${certificates}`,
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
];

const npmOptions = "--prefer-offline --no-audit --no-fund";
const tell = (text: string) => void process.stdout.write(text);

const resources = new AsyncDisposableStack();
let directory: TemporaryDirectory;
let root: string;
let container: Container;
let newcomer: Newcomer;
let sources: Sources;
let url: string;

before(async () => {
  directory = resources.use(await temporaryDirectory("croft-test-bare-"));
  root = join(directory.path, "root");
  await mkdir(root);
  await run(["tar", "-xpf", await bareRoot(), "-C", root], { timeoutSeconds: 600 });
  await copyFile(await packPackage(directory.path), join(root, "root", "croft.tgz"));
  sources = resources.use(await serveSources());
  const cache = await run(["npm", "config", "get", "cache"], { timeoutSeconds: 60, env: systemEnvironment });
  await mkdir(join(root, "root", ".npm"), { recursive: true });
  container = resources.use(await Container.boot({ "/root/.npm": cache.stdout.trim() }, root));
  // A host that trusts more than Debian does has a reason: its way to npm's registry.
  await copyFile(certificates, join(root, certificates));
  newcomer = new Newcomer([...container.enter(environment), "sh", "-c"], tell);
});
after(() => resources.disposeAsync());

/** The archive of a root, made once. */
async function bareRoot(): Promise<string> {
  if (existsSync(cached)) return cached;
  await mkdir(packageFile(".cache", "roots"), { recursive: true });
  const made = `${cached}.${process.pid}.tar`;
  const argv = ["mmdebstrap", "--variant=minbase", `--include=${packages}`, "bookworm", made];
  await run(argv, { timeoutSeconds: 1700, keepBytes: 65536 });
  await rename(made, cached);
  return cached;
}

/** Types a command, and installs what its failure asks for, until it succeeds. */
async function heeding(line: string, person = newcomer): Promise<string> {
  const installed = new Set<string>();
  for (;;) {
    const said = await person.types(line, { seconds: 900, status: null });
    if (person.status === 0) return (person.did.add(line.replace(/ -.*/, "")), said);
    const advice = [...said.matchAll(/apt-get install ([a-z0-9][a-z0-9.+ -]*)/g)]
      .map((match) => match[1]!.trim())
      .find((packages) => !installed.has(packages));
    assert.ok(advice !== undefined, `nothing more is advised:\n${said}`);
    installed.add(advice);
    await installs(advice);
  }
}

/** A shell's condition: the controller answers. */
function untilThere(controller: string): string {
  const ask = `croft builds --controller ${controller} >/dev/null 2>&1`;
  return `i=0; until ${ask}; do sleep 1; i=$((i + 1)); [ $i -lt 300 ] || exit 1; done`;
}

async function installs(packages: string): Promise<void> {
  await newcomer.types(`apt-get install -y -qq --no-install-recommends ${packages} >/dev/null`, {
    seconds: 1200,
  });
}

test("npm installs it, and it runs with its own Node.js", async () => {
  assert.match(await newcomer.types("node --version"), /^v18\./);
  await newcomer.types(`npm install --global ${npmOptions} /root/croft.tgz`, {
    seconds: 900,
  });
  await looksAtManifests(newcomer);
  await readsHelp(newcomer);
  await completesCommands(newcomer);
  assert.match(await newcomer.types("croft doctor", { status: 1 }), /^ok +Node\.js: croft \S+ on v24\./m);
});

test("croft doctor names what an agent needs, until there is no problem left", async () => {
  await newcomer.types("apt-get update -qq");
  await newcomer.types("mkdir -p /build/machines");
  await heeding("croft doctor");
});

test("a machine is made once what it asks for is there", async () => {
  await heeding("croft machine create small --minimal");
  assert.match(await newcomer.types("croft machine list"), /^small/m);
  assert.match(await newcomer.types("croft machine show small"), /small-1\.1/);
  assert.match(await newcomer.types("croft machine update small"), /small-1\.1$/m, "nothing is newer");
  await copiesMachine(newcomer, "small");
  await importsCutImage(newcomer);
});

test("controller and agent run as services, and build", async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  await mkdir(join(root, "etc", "croft"), { recursive: true });
  await writeFile(join(root, "etc/croft/controller.yaml"), `listen: 127.0.0.1:${port}\n`, { mode: 0o644 });
  await newcomer.types("croft controller install --dry-run");
  await newcomer.types("croft controller install --now");
  await newcomer.types(`croft agent install --dry-run ${url}/agent/task`);
  await newcomer.types(`croft agent install ${url}/agent/task`);
  await newcomer.types(
    `printf 'poll-interval: 1\\ntftp-port: ${(await freePort()) - 1}\\n' >> /etc/croft/agent.yaml`,
  );
  await newcomer.types("systemctl enable --now croft-agent.target croft-agent@1.service");
  await newcomer.types("systemctl status --lines=3 'croft-agent@*' croft-controller");
  await newcomer.types("croft agent --config /etc/croft/agent.yaml --print-config");
  await newcomer.types("croft agent rejected list");
  await newcomer.types("croft agent cache list");
  await newcomer.types("croft doctor --config /etc/croft/agent.yaml", { status: null });
  await usesFarm(newcomer, { url, sources, data: "/var/lib/croft-controller", machine: "small" });
});

test("a boss builds on two hosts that ssh reaches", async () => {
  await installs("openssh-server git gcc libc6-dev make");
  const ports = [await freePort(), await freePort()];
  const client = ports.map(
    (port, index) =>
      `Host ${["alpha", "beta"][index]}\n  HostName 127.0.0.1\n  Port ${port}\n  StrictHostKeyChecking accept-new\n`,
  );
  await mkdir(join(root, "root", ".ssh"), { recursive: true, mode: 0o700 });
  await writeFile(join(root, "root/.ssh/config"), client.join(""), { mode: 0o600 });
  await newcomer.types(
    "ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519; cp ~/.ssh/id_ed25519.pub ~/.ssh/authorized_keys",
  );
  await newcomer.types("mkdir -p /run/sshd");
  for (const [index, port] of ports.entries()) {
    // Each host with a home directory of its own.
    await newcomer.types(
      `mkdir /srv/host${index}; /usr/sbin/sshd -o Port=${port} -o ListenAddress=127.0.0.1 -o PidFile=/run/sshd${index}.pid -o SetEnv=HOME=/srv/host${index} -o AuthorizedKeysFile=/root/.ssh/authorized_keys`,
    );
  }
  await newcomer.types("git config --global user.name A; git config --global user.email a@example.org");
  await usesBoss(newcomer, `cd /srv; ${tutorialScript()}`, "/srv/hello");
});

test("an upgrade keeps builds, machines and services", async () => {
  const machines = await newcomer.types("croft machine list --json");
  const builds = await newcomer.types(`croft builds --controller ${url}`);
  await newcomer.types(`npm install --global ${npmOptions} /root/croft.tgz`, { seconds: 900 });
  await newcomer.types("croft controller install --now && croft agent install");
  await newcomer.types("systemctl restart croft-controller croft-agent.target");
  assert.equal(await newcomer.types(`${untilThere(url)} && croft builds --controller ${url}`), builds);
  await buildsFine(newcomer, { url, sources });
  assert.equal(await newcomer.types("croft machine list --json"), machines);
});

test("data of the version before is taken over", async () => {
  const data = "/var/lib/croft-controller";
  await mkdir(join(root, "root/before"));
  const archive = packageFile("test", "fixtures", "controller-before", "data.tar.xz");
  await run(["tar", "-xJf", archive, "-C", join(root, "root/before")], { timeoutSeconds: 60 });
  await newcomer.types("systemctl stop croft-agent.target croft-controller");
  await newcomer.types(`mv ${data}/* /srv/ && mv /root/before/* ${data}/ && chown -R nobody: ${data}/`);
  await newcomer.types("systemctl start croft-controller");
  const said = await newcomer.types(`${untilThere(url)} && croft builds --controller ${url}`);
  for (const id of [1, 2, 4, 19]) assert.match(said, new RegExp(`^${id} `, "m"));
  await newcomer.types(`croft log --controller ${url} 1`);
});

test("a user installs it at home, and builds without any right of root", async () => {
  await newcomer.types("useradd --create-home --shell /bin/bash ada && cp /root/croft.tgz /srv");
  const shell = ["runuser", "--login", "ada", "--whitelist-environment=NODE_EXTRA_CA_CERTS", "--command"];
  const ada = new Newcomer([...container.enter(environment), ...shell], tell);
  await ada.types(`mkdir -p ~/.local && npm config set prefix ~/.local`);
  await ada.types(`npm install --global ${npmOptions} /srv/croft.tgz`, { seconds: 900 });
  assert.equal(await ada.types("command -v croft"), "/home/ada/.local/bin/croft\n");
  await heeding("croft machine create small --minimal --machines ~/machines", ada);
  const port = await freePort();
  const own = `http://127.0.0.1:${port}`;
  const background = (command: string, log: string) => `setsid ${command} </dev/null >~/${log} 2>&1 &`;
  await ada.types(background(`croft controller --listen 127.0.0.1:${port} --data ~/data`, "controller.log"));
  const places =
    "--machines ~/machines --tftp ~/tftp --spool ~/spool --runtime ~/run --toolchain-lock ~/lock";
  await ada.types(`${untilThere(own)} && croft doctor ${places} ${own}/agent/task`, { status: null });
  const agent = `croft agent ${places} --tftp-port ${(await freePort()) - 1} --poll-interval 1 ${own}/agent/task`;
  await ada.types(background(agent, "agent.log"));
  await buildsFine(ada, { url: own, sources });
  const refused = await ada.types(`croft agent install ${own}/agent/task`, { status: 1 });
  assert.match(refused, /only root may/);
  await newcomer.types(
    "pkill --signal TERM --euid ada --full 'croft.js|bin/croft'; sleep 5; pgrep -u ada -a; true",
  );
});

test("it works installed in a project, by npx", async () => {
  await newcomer.types("mkdir -p /srv/project");
  await newcomer.types(`cd /srv/project && npm install ${npmOptions} /root/croft.tgz`, { seconds: 900 });
  const npx = "cd /srv/project && npx --no-install croft";
  assert.match(await newcomer.types(`${npx} --help`), /^Usage: croft COMMAND[^]*\n {2}agent /);
  const tokens = await newcomer.types(`printf ': 1\\nname: croft\\n' | (${npx} manifest tokens -)`);
  assert.equal((JSON.parse(tokens) as { ok: boolean }).ok, true);
});

test("what npm leaves out on request is named", async () => {
  await newcomer.types("mkdir -p /srv/omit");
  const install = `cd /srv/omit && npm install --omit=optional --ignore-scripts ${npmOptions} /root/croft.tgz`;
  await newcomer.types(install, { seconds: 900 });
  const said = await newcomer.types("cd /srv/omit && npx --no-install croft --version", { status: 1 });
  assert.match(
    said,
    /Node\.js 24 or newer is needed, this is v18\.\S+, and the package node-linux-\S+ is not/,
  );
  assert.match(said, /--omit=optional/);
});

test("a machine is removed, and so every command has had its main path", async () => {
  await newcomer.types("systemctl stop croft-agent.target && croft machine remove small");
  await newcomer.assertDidEverything();
});

test("what is uninstalled leaves configuration, machines and data", async () => {
  await newcomer.types("croft agent install --uninstall");
  await newcomer.types("croft controller install --uninstall");
  await newcomer.types("npm uninstall --global croft");
  assert.match(await newcomer.types("command -v croft", { status: null }), /^$/);
  const kept =
    "/etc/croft/agent.yaml /etc/croft/controller.yaml /build/machines /var/lib/croft-controller /var/lib/croft/spool";
  await newcomer.types(`ls -d ${kept}`);
  assert.match(await newcomer.types("ls /etc/systemd/system", { status: null }), /^(?![^]*croft-)/);
});
