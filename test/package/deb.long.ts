/**
 * The Debian packages: the same twice, nothing against them, installed, upgraded amidst a build, removed, purged
 *
 * In bare roots of Debian 12 and 13 under a systemd of their own. What is typed, and what comes of it, is told.
 */
import assert from "node:assert/strict";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { packageFile, packageVersion } from "../../os/files/package.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../os/files/temporary.ts";
import { run } from "../../os/run.ts";
import { freePort } from "../fixtures/ports.ts";
import { Container } from "../systemd/container.ts";
import { packSource, script, serveSources, type Sources } from "../worker/sources.ts";
import { buildDebs, layBareRoot } from "./debs.ts";
import { buildsFine, Newcomer } from "./newcomer.ts";
import { packPackage } from "./pack.ts";

const next = `${packageVersion}+1`;
const environment = [
  ...["env", "-i", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER="],
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
];
const tell = (text: string) => void process.stdout.write(text);
const apt = "apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0";

let directory: TemporaryDirectory;
let tarball: string;
let debs: string[];
let newer: string[];

before(async () => {
  directory = await temporaryDirectory("croft-test-deb-");
  tarball = await packPackage(directory.path);
  const own = (await run(["dpkg", "--print-architecture"], { timeoutSeconds: 60 })).stdout.trim();
  debs = await buildDebs(join(directory.path, "debs"), "--tarball", tarball, "--arch", own);
  const newest = ["--arch", own, "--only-croft", "--version", next];
  newer = await buildDebs(join(directory.path, "newer"), "--tarball", tarball, ...newest);
});
after(() => directory[Symbol.asyncDispose]());

test("the same input gives the same bytes", async () => {
  const again = await buildDebs(join(directory.path, "again"), "--tarball", tarball, "--only-croft");
  const same = again.find((path) => debs.some((deb) => basename(deb) === basename(path)))!;
  const first = debs.find((deb) => basename(deb) === basename(same))!;
  assert.ok((await readFile(same)).equals(await readFile(first)));
  assert.equal(again.length, 2, "for both architectures");
});

test("lintian has nothing against them but what is overridden with a reason", async () => {
  const argv = ["lintian", "--allow-root", "--fail-on", "error,warning", ...debs];
  const { stdout, stderr } = await run(argv, { timeoutSeconds: 3000, accept: [2] });
  assert.doesNotMatch(stdout + stderr, /^[EW]: /m);
});

for (const suite of ["bookworm", "trixie"])
  describe(`in a bare ${suite}`, () => {
    const resources = new AsyncDisposableStack();
    let root: string;
    let newcomer: Newcomer;
    let sources: Sources;
    let url: string;

    before(async () => {
      root = join(directory.path, suite);
      await layBareRoot(suite, root);
      await mkdir(join(root, "root", "debs"));
      for (const deb of [...debs, ...newer]) await copyFile(deb, join(root, "root", "debs", basename(deb)));
      sources = resources.use(await serveSources());
      const container = resources.use(await Container.boot({}, root));
      newcomer = new Newcomer([...container.enter(environment), "sh", "-c"], tell);
      await newcomer.types("apt-get update -qq");
    });
    after(() => resources.disposeAsync());

    test("it is installed with what it needs, and starts nothing", async () => {
      const wanted = `croft_${packageVersion}_*.deb croft-runtime_*.deb`.replace(
        /croft/g,
        "/root/debs/croft",
      );
      const alone = `apt-get install --simulate /root/debs/croft_${packageVersion}_*.deb`;
      const refused = await newcomer.types(alone, { status: 100 });
      assert.match(refused, /Depends: nodejs \(>= 24\).*\n?.*croft-runtime/);
      await newcomer.types(`${apt} ${wanted}`, { seconds: 1200 });
      assert.equal(await newcomer.types("croft --version"), `${packageVersion}\n`);
      assert.match(
        await newcomer.types("systemctl is-active croft-controller", { status: null }),
        /inactive/,
      );
      await newcomer.types("test -f /usr/share/man/man1/croft-agent.1.gz || test -d /usr/share/man");
      await newcomer.types("test -s /usr/share/bash-completion/completions/croft");
      await newcomer.types("systemd-analyze verify croft-agent@1.service croft-controller.service");
    });

    test("with what it recommends for build hosts, controller and agent build", async () => {
      const recommended = "qemu-system-x86 qemu-utils btrfs-progs mmdebstrap cpio kmod xz-utils e2fsprogs";
      await newcomer.types(`${apt} ${recommended} ca-certificates`, { seconds: 1800 });
      const port = await freePort();
      url = `http://127.0.0.1:${port}`;
      await newcomer.types(`sed -i 's/^listen: .*/listen: 127.0.0.1:${port}/' /etc/croft/controller.yaml`);
      await newcomer.types("systemctl enable --now croft-controller");
      const installed = await newcomer.types(`croft agent install ${url}/agent/task`);
      assert.match(installed, /^\/usr\/lib\/systemd\/system\/croft-agent@\.service: as it should be$/m);
      const tftp = (await freePort()) - 1;
      await newcomer.types(`printf 'poll-interval: 1\\ntftp-port: ${tftp}\\n' >> /etc/croft/agent.yaml`);
      await newcomer.types("croft machine create small --minimal", { seconds: 1200 });
      await newcomer.types("croft doctor --config /etc/croft/agent.yaml", { status: null });
      await newcomer.types("systemctl enable --now croft-agent.target croft-agent@1.service", {
        seconds: 1200,
      });
      await buildsFine(newcomer, { url, sources });
    });

    test("an upgrade amidst a build loses nothing: it is queued again, and built by the new version", async () => {
      await packSource(sources, { ".croft/update": script("sleep 20; echo slow") }, "slow-1.0.tar.gz");
      const repository = `${sources.url.replace("127.0.0.1", "10.0.2.2")}/`;
      await newcomer.types(
        `croft submit --controller ${url} --repository ${repository} --name slow --version 1.0 --type pkg`,
      );
      const isBuilding = `croft builds --controller ${url} --state building | grep slow`;
      await newcomer.types(
        `i=0; until ${isBuilding}; do sleep 1; i=$((i + 1)); [ $i -lt 300 ] || exit 1; done`,
      );
      const pids = "systemctl show --value --property MainPID croft-controller croft-agent@1";
      const before = await newcomer.types(pids);
      await newcomer.types(`${apt} /root/debs/croft_${next}_*.deb`, { seconds: 1200 });
      for (const pid of before.match(/\d+/g)!)
        await newcomer.types(
          `i=0; while ${pids} | grep -x ${pid}; do sleep 1; i=$((i + 1)); [ $i -lt 300 ] || exit 1; done`,
        );
      const done = `croft builds --controller ${url} --state finished | grep slow`;
      await newcomer.types(`i=0; until ${done}; do sleep 1; i=$((i + 1)); [ $i -lt 900 ] || exit 1; done`, {
        seconds: 1200,
      });
      const shown = await newcomer.types(`croft show --controller ${url} 2`);
      assert.match(shown, /^ {2}state +finished: success$/m);
      assert.match(shown, /interrupt/);
      assert.match(await newcomer.types("cat /etc/croft/controller.yaml"), /^listen: 127/m);
    });

    test("removed it leaves configuration and data, purged the data, which it names", async () => {
      await newcomer.types("apt-get remove -y -qq croft croft-runtime");
      assert.match(await newcomer.types("systemctl is-active 'croft*'", { status: null }), /^(?!active)/m);
      await newcomer.types("ls /etc/croft/agent.yaml /etc/croft/controller.yaml");
      const said = await newcomer.types("apt-get purge -y -qq croft croft-runtime 2>&1");
      assert.match(said, /croft: data stays; .*\/build\/machines .*\/var\/lib\/private\/croft-controller/);
      const left = await newcomer.types(
        "find / -xdev -iname '*croft*' -not -path '/root/*' -not -path '/proc/*'",
      );
      const data = /^\/(var\/lib\/(private\/)?croft|run\/|tmp\/|var\/tmp|var\/log|build\/machines)/;
      assert.deepEqual(
        left
          .trim()
          .split("\n")
          .filter((path) => !data.test(path)),
        [],
      );
    });
  });

test("the image's recipe makes a root whose controller answers", async () => {
  const root = join(directory.path, "image");
  await layBareRoot("trixie", root);
  const steps = stepsOf(await readFile(packageFile("packaging", "Containerfile"), "utf8"));
  const into = (...argv: string[]) =>
    run(["chroot", root, ...argv], { timeoutSeconds: 1800, env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } });
  await copyFile("/etc/resolv.conf", join(root, "etc", "resolv.conf"));
  let user = "root";
  for (const [word, rest] of steps) {
    if (word === "COPY") {
      const to = join(root, rest.split(" ").at(-1)!);
      await mkdir(to, { recursive: true });
      for (const deb of debs) await copyFile(deb, join(to, basename(deb)));
    }
    if (word === "RUN") await into("sh", "-c", rest);
    if (word === "USER") user = rest;
  }
  const entry = JSON.parse(steps.find(([word]) => word === "ENTRYPOINT")![1]) as string[];
  const port = await freePort();
  const command = entry.map((word) => word.replace("0.0.0.0:8420", `127.0.0.1:${port}`)).join(" ");
  const ask = `croft status --controller http://127.0.0.1:${port}`;
  const lines = `${command} & i=0; until ${ask}; do sleep 1; i=$((i + 1)); [ $i -lt 300 ] || exit 1; done; kill $!; wait $!`;
  const argv = ["runuser", "--user", user, "--", "sh", "-c", `cd /var/lib/croft-controller; ${lines}`];
  await run(["chroot", root, ...argv], {
    timeoutSeconds: 600,
    accept: [0, 143],
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", NODE_NO_WARNINGS: "1" },
  });
});

/** The instructions of a Containerfile, each on a line of its own. */
function stepsOf(text: string): [word: string, rest: string][] {
  return text
    .split("\n")
    .filter((line) => /^[A-Z]/.test(line))
    .map((line) => /^(\S+) (.*)$/.exec(line)!.slice(1) as [string, string]);
}
