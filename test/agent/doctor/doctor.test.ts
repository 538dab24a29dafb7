import assert from "node:assert/strict";
import { chmod, mkdir } from "node:fs/promises";
import { test } from "node:test";
import { runChecks, ok, problem, warning, type Check } from "../../../agent/doctor/check.ts";
import { judgeClock } from "../../../agent/doctor/controllers.ts";
import { judgeMemory } from "../../../agent/doctor/memory.ts";
import { creation } from "../../../agent/doctor/programs.ts";
import { privacyChecks } from "../../../agent/doctor/privacy.ts";
import { countLevels, reportText } from "../../../agent/doctor/report.ts";
import { judgeMetadata, judgeSpace, parseBtrfsUsage } from "../../../agent/doctor/space.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { formatBytes, GiB, MiB } from "../../../os/text/size.ts";
import { judgeKvm } from "../../../agent/doctor/virtualization.ts";
import { Failure } from "../../../os/failure.ts";
import { makeSettings } from "../settings/make-settings.ts";

const settings = makeSettings({ runtime: "/nonexistent/run" }, ["http://127.0.0.1:1/"]);
const never = new AbortController().signal;

test("a check that throws or hangs is a problem, and the others go on", async () => {
  const checks: Check[] = [
    { name: "throws", run: () => Promise.reject(new Error("out of order")) },
    {
      name: "listens",
      deadlineSeconds: 0.05,
      run: (_settings, signal) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason as Error)),
        ),
    },
    { name: "works", run: () => Promise.resolve([ok("works", "well")]) },
  ];
  const findings = await runChecks(checks, settings, never);
  assert.deepEqual(
    findings.map(({ level, subject }) => `${level} ${subject}`),
    ["problem throws", "problem listens", "ok works"],
  );
  assert.match(findings[0]!.text, /out of order/);
  assert.match(findings[1]!.text, /no answer within 0\.05 s/);
});

test("the fix of a check that throws is what its failure says to do, if it does", async () => {
  const failure = new Failure("list machines", "there are none", { hints: ["Make one."] });
  const [finding] = await runChecks([{ name: "x", run: () => Promise.reject(failure) }], settings, never);
  assert.deepEqual(finding, problem("x", failure.message, "Make one."));
});

test("a check that does not even listen to its deadline holds up nothing", async () => {
  const checks: Check[] = [{ name: "deaf", deadlineSeconds: 0.05, run: () => new Promise(() => {}) }];
  const [finding] = await runChecks(checks, settings, never, { graceSeconds: 0.05 });
  assert.equal(finding!.level, "problem");
});

test("what making machines lacks is told, with the packages that have it; agents work without", () => {
  const { level, text, fix } = creation([]);
  assert.equal(level, "warning");
  assert.match(
    text,
    /^it lacks apt-get, cpio, depmod, dpkg-deb, mkfs\.ext4, mmdebstrap, setpriv, unshare, xz/,
  );
  assert.match(fix!, /^apt-get install apt cpio kmod dpkg e2fsprogs mmdebstrap util-linux xz-utils/);
});

test("each finding is one line, with what to do; the last line counts", () => {
  const findings = [ok("a", "fine"), warning("b", "slow", "hurry"), problem("c", "two\n  lines", "mend it")];
  assert.deepEqual(countLevels(findings), { ok: 1, warning: 1, problem: 1 });
  assert.equal(
    reportText(findings),
    "ok       a: fine\nwarning  b: slow. Fix: hurry\nproblem  c: two lines. Fix: mend it\n1 problem, 1 warning\n",
  );
});

test("KVM is judged by what a guest did, and by what the agent would use", () => {
  const ran = { seconds: 0.4 };
  const hung = { failure: "no sign of life within 5 s" };
  const obstacle = "the processor shows neither vmx nor svm";
  const judged = (
    kvm: { seconds: number } | { failure: string },
    accel: "auto" | "kvm" | "tcg",
    why?: string,
  ) => {
    const { level, text, fix } = judgeKvm(kvm, accel, why);
    return `${level} ${text} ${fix ?? ""}`;
  };
  assert.match(judged(ran, "auto"), /^ok a guest ran with KVM in 0\.4 s/);
  assert.match(judged(ran, "auto", obstacle), /^warning .*not used: the processor.*--accel kvm/);
  assert.match(judged(ran, "tcg"), /^warning .*not used.*--accel tcg/);
  assert.match(
    judged(hung, "auto"),
    /^problem KVM does not run guests here \(no sign.*would be.*--accel tcg/,
  );
  assert.match(judged(hung, "auto", obstacle), /^warning .*software emulation is used/);
  assert.match(judged(hung, "kvm", obstacle), /^problem /);
  assert.match(judged(hung, "tcg"), /^warning .*software emulation is used/);
});

test("space is judged by what is needed", () => {
  const levels = [5 * MiB, 100 * MiB, GiB].map(
    (bytes) => judgeSpace("s", "/x", bytes, { least: 10 * MiB, comfortable: 200 * MiB }).level,
  );
  assert.deepEqual(levels, ["problem", "warning", "ok"]);
  assert.deepEqual([512, 1536, 64 * MiB, 1.25 * GiB, 5000 * GiB].map(formatBytes), [
    "512 bytes",
    "1.5 KiB",
    "64.0 MiB",
    "1.3 GiB",
    "4.9 TiB",
  ]);
});

test("memory is judged by what the machines of all instances take, and of one", () => {
  const levels = [8, 6, 2].map((host) => judgeMemory(3 * GiB, 2, host * GiB).level);
  assert.deepEqual(levels, ["ok", "ok", "problem"]);
  const { level, text } = judgeMemory(3 * GiB, 2, 5 * GiB);
  assert.deepEqual(
    [level, text],
    ["warning", "this host has 5.0 GiB; 2 builds at a time may take 6.0 GiB (--ram)"],
  );
});

test("btrfs is full when its metadata is and nothing is left to allocate", () => {
  const usage = (used: number, unallocated: number) =>
    parseBtrfsUsage(
      `Overall:\n    Device size:\t\t 268435456\n    Device unallocated:\t\t ${unallocated}\n` +
        `    Global reserve:\t\t   5767168\t(used: 0)\n\n` +
        `Data,single: Size:8388608, Used:8388608 (100.00%)\n   /dev/loop0\t 8388608\n\n` +
        `Metadata,DUP: Size:33554432, Used:${used} (0.39%)\n   /dev/loop0\t 67108864\n`,
    )!;
  assert.deepEqual(usage(131072, 176160768), {
    ...{ size: 33554432, used: 131072, reserved: 5767168, unallocated: 176160768 },
  });
  // As measured where no file could be made any more: a part is kept for removing.
  assert.equal(judgeMetadata("/x", usage(24 * MiB, MiB)).level, "problem");
  assert.equal(judgeMetadata("/x", usage(33554432, 0)).level, "problem");
  assert.equal(judgeMetadata("/x", usage(33554432, 100 * MiB)).level, "warning");
  assert.equal(judgeMetadata("/x", usage(33554432, 20 * GiB)).level, "ok");
  assert.equal(judgeMetadata("/x", usage(131072, 0)).level, "ok");
  assert.equal(parseBtrfsUsage("something else"), undefined);
});

test("a clock that differs from a controller's by more than a minute is told, with the direction", () => {
  const now = Date.parse("2026-01-01T12:00:00Z");
  const found = (date: string | undefined) => judgeClock("http://c/", { date }, now).map(({ text }) => text);
  assert.deepEqual(found("Thu, 01 Jan 2026 11:59:01 GMT"), []);
  assert.deepEqual(found("Thu, 01 Jan 2026 11:58:00 GMT"), [
    "this host's is 2m00s ahead of that of http://c/",
  ]);
  assert.deepEqual(found("Thu, 01 Jan 2026 13:00:00 GMT"), ["this host's is 1h00m behind that of http://c/"]);
  assert.deepEqual([found(undefined), found("nonsense")], [[], []]);
});

test("what other users may look into is told, with what closes it", async () => {
  await using directory = await temporaryDirectory("croft-test-doctor-");
  const own = makeSettings({ runtime: directory.path, spool: directory.path, tftp: directory.path }, [
    "http://127.0.0.1:1/",
  ]);
  await mkdir(own.runtime, { mode: 0o700 });
  const look = async () =>
    (await runChecks(privacyChecks, own, never)).map(
      ({ level, text, fix }) => `${level} ${text} ${fix ?? ""}`,
    );
  assert.deepEqual(await look(), ["ok they see nothing of spool, exchange and sockets "]);
  await chmod(own.runtime, 0o750);
  // Spool and runtime directory are one here.
  const told = `warning they may look into ${own.runtime} chmod -R go= ${own.runtime}`;
  assert.deepEqual(new Set(await look()), new Set([told]));
});
