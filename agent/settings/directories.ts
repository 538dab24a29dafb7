import { join } from "node:path";
import { instanceName, type Settings } from "./settings.ts";

/** Where the agent exchanges files with its machines (agent.md, machines.md). */
export interface Directories {
  /** Read by every machine that is bootstrapped for the toolchain. */
  toolchain: string;
  /** Written by the machine that is bootstrapped. */
  bootstrap: string;
  /** Read and written by the machine that performs a task. */
  get: string;
  put: string;
  /** Consoles and unreadable results of machines that failed. */
  evidence: string;
}

export function directoriesOf(settings: Settings): Directories {
  const instance = instanceName(settings);
  return {
    toolchain: join(settings.tftp, "toolchains", settings.toolchain.name),
    bootstrap: join(settings.tftp, "bootstrap", instance),
    get: join(settings.tftp, "build", instance, "get"),
    put: join(settings.tftp, "build", instance, "put"),
    evidence: join(settings.spool, instance, "evidence"),
  };
}
