/**
 * The auxiliary machines of a task: restored or booted in parallel before the build machine, each on a snapshot and with a TFTP server of
 * its own, and thrown away after it. They reach one another and the build machine in a network of their own
 * (machines/network/group-switch.ts), and nobody else reaches them there.
 *
 * One that fails ends the task, and is the evidence: it is held for the operator as a build machine would be, the others and
 * their locks are given back. One that ends while the task is performed ends it as well.
 */
import { GroupSwitch } from "../../../machines/network/group-switch.ts";
import type { GroupPort } from "../../../machines/virtual-machine.ts";
import { Failure } from "../../../os/failure.ts";
import type { Log } from "../../../os/log.ts";
import { withoutUndefined } from "../../../os/without-undefined.ts";
import { randomMac } from "../boot.ts";
import type { PerformingContext } from "../context.ts";
import { keepEvidence } from "../evidence.ts";
import { softFail, type Held } from "../soft-fail.ts";
import { titleOf, type AuxiliaryMachine } from "./auxiliary-machine.ts";
import { startMember, type Member } from "./member.ts";

/** Of networks that are for measurements between devices (RFC 2544), and so in no use that a build would look for. */
const network = "198.18.0";

/** An auxiliary machine ended while the task was performed. */
export class MemberEnded extends Failure {}

/** The auxiliary machines that a task has. */
export interface Group {
  /** What the build is told, lines `NAME=VALUE`. */
  environment: string;
  /** Of the build machine. */
  port: GroupPort;
  /** Aborted with {@link MemberEnded} when one of them ends. */
  ended: AbortSignal;
}

/** Why a task has no auxiliary machines. */
export interface GroupFailure {
  reason: string;
  held?: Held | undefined;
}

export interface GroupRun {
  machines: readonly AuxiliaryMachine[];
  /** Of the build machine, which is not needed where one of these fails. */
  lock: Disposable;
  /** Whether the controller lets a machine be held. */
  mayHold?: boolean | undefined;
  log: Log;
}

/** The other one has failed, so that this one is not needed. */
class NotNeeded extends Error {}

/**
 * Starts the auxiliary machines of a task; they end with the stack.
 *
 * @throws {Failure} for a fault of the farm; the signal's reason if aborted.
 */
export async function startGroup(
  context: PerformingContext,
  run: GroupRun,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Group | GroupFailure> {
  const cables = stack.use(new GroupSwitch());
  const portOf = (number: number): GroupPort => {
    const mac = randomMac();
    const address = `${network}.${number + 1}/24`;
    return { mac, address, connect: (stream) => cables.attach(mac, stream) };
  };
  const stacks = run.machines.map(() => stack.use(new AsyncDisposableStack()));
  const { members, errors } = await startAll(context, run, { stacks, portOf }, signal);
  const failed = members.find((member) => member !== undefined && "failed" in member);
  signal.throwIfAborted();
  const [error] = errors;
  if (error !== undefined && !failed) throw error as Error;
  if (failed) {
    const others = stacks.filter((_, index) => members[index] !== failed);
    await Promise.all(others.map((other) => other.disposeAsync()));
    return await memberFailed(run, failed as FailedMember);
  }
  const up = members as Extract<Member, { variables: string[] }>[];
  return {
    environment: up.flatMap(({ variables }) => variables).join("\n"),
    ...{ port: portOf(0), ended: endOf(up, context, run.log) },
  };
}

interface Parts {
  stacks: readonly AsyncDisposableStack[];
  portOf: (number: number) => GroupPort;
}

/** Waits for all of them; the first that fails keeps the others from being waited for. */
async function startAll(
  context: PerformingContext,
  run: GroupRun,
  { stacks, portOf }: Parts,
  signal: AbortSignal,
): Promise<{ members: (Member | undefined)[]; errors: unknown[] }> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const errors: unknown[] = [];
  const members = await Promise.all(
    run.machines.map(async (machine, index) => {
      const number = index + 1;
      const log = run.log.child({ machine: machine.paths.name, auxiliary: machine.name });
      try {
        const parts = { number, machine, port: portOf(number), log };
        const member = await startMember(context, parts, stacks[index]!, either);
        if ("failed" in member) over.abort(new NotNeeded("another auxiliary machine has failed"));
        return member;
      } catch (error) {
        if (error instanceof NotNeeded) return undefined;
        errors.push(error);
        over.abort(new NotNeeded("another auxiliary machine could not be started"));
        return undefined;
      }
    }),
  );
  return { members, errors };
}

type FailedMember = Extract<Member, { failed: string }>;

async function memberFailed(run: GroupRun, member: FailedMember): Promise<GroupFailure> {
  const { machine, context, failed, exchange, files, tail } = member;
  for (const other of run.machines) if (other !== machine) other.lock[Symbol.dispose]();
  run.lock[Symbol.dispose]();
  const title = titleOf(machine);
  const log = run.log.child({ machine: machine.paths.name, auxiliary: machine.name });
  const held = await softFail(
    context,
    {
      ...{ name: machine.paths.name, lock: machine.lock, files, reason: failed, log },
      ...withoutUndefined({ exchange, mayHold: run.mayHold }),
    },
    "auxiliary machine failed",
  );
  return { reason: `auxiliary machine ${title}: ${failed}${tail.quote()}`, held };
}

/** Tells when one of the machines ends that are up. */
function endOf(
  members: readonly Extract<Member, { variables: string[] }>[],
  { directories }: PerformingContext,
  log: Log,
): AbortSignal {
  const over = new AbortController();
  for (const { machine, exchange, tail } of members)
    void exchange.machine?.ended.then(async ({ how, detail }) => {
      if (how === "forced" || over.signal.aborted) return;
      const name = machine.paths.name;
      const console = exchange.machine!.consoleFile;
      const evidence = await keepEvidence(directories.evidence, name, [console], log);
      log.error({ machine: name, auxiliary: machine.name, end: detail, evidence }, "auxiliary machine ended");
      const reason = `it ended while the task was performed: ${detail}${tail.quote()}`;
      over.abort(new MemberEnded(`use auxiliary machine ${titleOf(machine)}`, reason));
    });
  return over.signal;
}
