/** Whether machines can run, and how fast. */
import { reasonOf } from "../../os/failure.ts";
import { kvmObstacle } from "../../machines/qemu/acceleration.ts";
import { hostArchitecture } from "../../machines/qemu/architecture.ts";
import { inspectQemu, tryGuest } from "../../machines/qemu/trial.ts";
import { lookForUser } from "../../machines/qemu/user.ts";
import { userOf } from "../../os/privileges.ts";
import type { Settings } from "../settings/settings.ts";
import { ok, problem, warning, type Check, type Finding } from "./check.ts";

/** The oldest one that croft is tested with (Debian 12). */
const testedVersion = { major: 7, minor: 2 };
/** Emulated on a host under load, the firmware takes some seconds; a guest that hangs does so for ever. */
const guestSeconds = { kvm: 5, tcg: 10 };
const installQemu = "apt-get install qemu-system-x86 (on arm64: qemu-system-arm)";

export const virtualizationChecks: readonly Check[] = [
  { name: "QEMU", run: checkProgram },
  { name: "machines", deadlineSeconds: 14, run: checkGuests },
  { name: "machines' user", run: checkUser },
];

async function checkProgram({ qemu }: Settings, signal: AbortSignal): Promise<Finding[]> {
  try {
    const { program, version, missing } = await inspectQemu(qemu, signal);
    const found = `${version.text} (${program})`;
    if (missing.length > 0) return [problem("QEMU", `${found} lacks ${missing.join(", ")}`, installQemu)];
    const { major, minor } = testedVersion;
    if (version.major < major || (version.major === major && version.minor < minor))
      return [warning("QEMU", `${found}: croft is tested with ${major}.${minor} and newer`, installQemu)];
    return [ok("QEMU", found)];
  } catch (error) {
    signal.throwIfAborted();
    return [problem("QEMU", reasonOf(error), installQemu)];
  }
}

type Tried = Awaited<ReturnType<typeof tryGuest>>;

async function checkGuests(settings: Settings, signal: AbortSignal): Promise<Finding[]> {
  const { qemu, accel, machineUid } = settings;
  const attempt = (kind: "kvm" | "tcg"): Promise<Tried> => {
    const found = lookForUser(machineUid, kind);
    const user = "user" in found ? found.user : undefined;
    return tryGuest(kind, { qemu, user, timeoutSeconds: guestSeconds[kind], signal });
  };
  const [kvm, tcg] = await Promise.all([attempt("kvm"), accel === "kvm" ? undefined : attempt("tcg")]);
  return [
    judgeKvm(kvm, accel, kvmObstacle(hostArchitecture())),
    ...(tcg === undefined ? [] : [judgeEmulation(tcg, kvm, accel)]),
  ];
}

/**
 * What an agent with these settings would use, and what KVM really does.
 *
 * @param obstacle why `--accel auto` would not use it.
 */
export function judgeKvm(kvm: Tried, accel: Settings["accel"], obstacle: string | undefined): Finding {
  const subject = "hardware virtualization";
  const enable = "Enable it in the firmware, or nested virtualization in the host of this host.";
  if ("seconds" in kvm) {
    if (accel === "tcg")
      return warning(subject, "KVM runs guests here, but is not used", "Leave --accel tcg out.");
    if (accel === "auto" && obstacle !== undefined)
      return warning(subject, `KVM runs guests here, but is not used: ${obstacle}`, "Give --accel kvm.");
    return ok(subject, `a guest ran with KVM in ${kvm.seconds.toFixed(1)} s`);
  }
  const failed = `KVM does not run guests here (${kvm.failure})`;
  if (accel === "kvm" || (accel === "auto" && obstacle === undefined))
    return problem(
      subject,
      `${failed}, and machines would be started with it`,
      `Give --accel tcg. ${enable}`,
    );
  return warning(subject, `${failed}: software emulation is used, many times slower`, enable);
}

function judgeEmulation(tcg: Tried, kvm: Tried, accel: Settings["accel"]): Finding {
  const subject = "software emulation";
  if ("seconds" in tcg) return ok(subject, `a guest ran in ${tcg.seconds.toFixed(1)} s`);
  const text = `no guest runs (${tcg.failure})`;
  // Emulation needs nothing that could hang, but processors: on a busy host they may be too few for the moment.
  if (/no sign of life/.test(tcg.failure))
    return warning(subject, text, "Try again when this host is less busy.");
  const needed = accel === "tcg" || !("seconds" in kvm);
  return needed
    ? problem(subject, text, installQemu)
    : warning(subject, `${text}; it is not needed`, installQemu);
}

/** Whom QEMU runs as. That this user may open /dev/kvm, the guest shows that is run as it. */
async function checkUser({ machineUid, accel }: Settings, signal: AbortSignal): Promise<Finding[]> {
  const subject = "machines' user";
  if (process.geteuid?.() !== 0) return [ok(subject, "this agent's own, which is not root")];
  if (machineUid === 0)
    return [
      warning(subject, "QEMU runs as root, with whatever a guest makes of it", "Leave --machine-uid out."),
    ];
  const found = lookForUser(machineUid, accel);
  if ("obstacle" in found)
    return [warning(subject, `QEMU runs as root: ${found.obstacle}`, userFix(found.obstacle))];
  const name = await userOf(machineUid, signal);
  if (name === undefined) return [ok(subject, `${machineUid}, which is nobody else's`)];
  return [problem(subject, `${machineUid} is also ${name}`, "Give --machine-uid a range of free numbers.")];
}

function userFix(obstacle: string): string {
  if (/CAP_/.test(obstacle)) return "croft agent install, which renews the unit; then restart the agents.";
  if (/kvm/.test(obstacle)) return "chgrp kvm /dev/kvm; chmod 660 /dev/kvm";
  return "Give a lower --machine-uid, such as 60700.";
}
