import { present } from "./fields.ts";
import { machineHeaderEntries, readMachineHeader, type MachineHeader } from "./machine.ts";
import type { ParseOptions } from "./parse-options.ts";
import { Sections, formatSections, type Entry } from "./sections.ts";
import { matching, oneLine, oneOf, perhapsKibibytes, word } from "./values.ts";
import { version } from "./version.ts";

/** An agent's question for work. */
export interface TaskRequest {
  /** Host name of the build host. */
  agent: string;
  toolchainName: string;
  toolchainVersion: string;
  interactiveMode?: "false" | "true" | "both";
  /** Where a person may log in to an interactive build. */
  interactiveLogin?: string;
  /** SHA-256 of the agent's public key (SubjectPublicKeyInfo, DER), 64 lower-case hexadecimal digits. */
  fingerprint?: string;
  /** For auxiliary machines; 0: it runs none, absent: any. */
  auxiliaryRamKiB?: number;
  machines: MachineHeader[];
}

const fingerprint = matching(/^[0-9a-f]{64}$/, "64 lower-case hexadecimal digits");

/** @throws {ManifestError} */
export function parseTaskRequest(bytes: Uint8Array, options: ParseOptions = {}): TaskRequest {
  const sections = new Sections(bytes, options);
  const header = sections.take("task request manifest", (fields) => {
    const interactiveMode = fields.optional("interactive-mode", oneOf("false", "true", "both"));
    const interactiveLogin = fields.optional("interactive-login", oneLine);
    if ((interactiveMode ?? "false") !== "false" && interactiveLogin === undefined)
      fields.lacks("interactive-login");
    return {
      agent: fields.required("agent", word),
      toolchainName: fields.required("toolchain-name", word),
      toolchainVersion: fields.required("toolchain-version", version),
      interactiveMode,
      interactiveLogin,
      fingerprint: fields.optional("fingerprint", fingerprint),
      auxiliaryRamKiB: fields.optional("auxiliary-ram", perhapsKibibytes),
    };
  });
  const machines: MachineHeader[] = [];
  while (!sections.done) machines.push(sections.take("machine header manifest", readMachineHeader));
  return present<TaskRequest>({ ...header, machines });
}

/** @throws {ManifestWriteError} */
export function formatTaskRequest(request: TaskRequest): Uint8Array {
  const header: Entry[] = [
    ["agent", request.agent],
    ["toolchain-name", request.toolchainName],
    ["toolchain-version", request.toolchainVersion],
    ["interactive-mode", request.interactiveMode],
    ["interactive-login", request.interactiveLogin],
    ["fingerprint", request.fingerprint],
    ["auxiliary-ram", request.auxiliaryRamKiB],
  ];
  return formatSections([header, ...request.machines.map(machineHeaderEntries)]);
}
