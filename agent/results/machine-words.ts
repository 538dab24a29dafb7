/**
 * What a machine may say in its result, and what only its agent may.
 *
 * A controller gives a build that its host had no room for, or that another build interrupted, to agents again and again: what
 * runs in a machine must not be able to say that of itself.
 */
import { agentOperation, machineOperation, type Result } from "../../manifests/result.ts";
import type { ResultStatus } from "../../manifests/result-status.ts";

const agentsOperations: readonly string[] = [agentOperation, machineOperation];

/** The result with nothing in it that an agent says: such operations get another name, and an interruption is an abort. */
export function asOfMachine(result: Result): Result {
  const names = new Set(result.operations.map(({ name }) => name));
  const operations = result.operations.map(({ name, status, log }) => ({
    name: agentsOperations.includes(name) ? freeName(`guest-${name}`, names) : name,
    status: asOfBuild(status),
    log,
  }));
  return { ...result, status: asOfBuild(result.status), operations };
}

function asOfBuild(status: ResultStatus): ResultStatus {
  return status === "interrupt" ? "abort" : status;
}

function freeName(wanted: string, names: ReadonlySet<string>): string {
  let name = wanted;
  while (names.has(name)) name = `guest-${name}`;
  return name;
}
