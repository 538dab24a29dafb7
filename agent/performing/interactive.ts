/** Interactive builds: how a person gets into the machine of a task. */
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { userInfo } from "node:os";
import { splitInteractive, type Task } from "../../manifests/task.ts";
import { defaultRuntime } from "../../machines/runtime-directory.ts";
import type { PublicScreen } from "../../machines/virtual-machine.ts";
import type { PerformingContext } from "./context.ts";
import type { Settings } from "../settings/settings.ts";

/**
 * The screen of a task's machine for people on other hosts; only of an interactive task.
 *
 * The port is open to whoever reaches this host, so it takes a password, which is new for each task: it is told to
 * those who may read the build's log.
 */
export function publicScreen({ settings, login }: PerformingContext, task: Task): PublicScreen | undefined {
  if (task.interactive === undefined || login === undefined) return undefined;
  return { display: settings.offset, password: randomBytes(6).toString("base64url") };
}

/**
 * The task as its machine gets it: an interactive one with how to log in. What the controller gave of that comes first,
 * unless it is but what this agent had told it.
 */
export function withLogin(context: PerformingContext, task: Task, screen: PublicScreen | undefined): Task {
  if (task.interactive === undefined) return task;
  const { settings, login, hostName } = context;
  const given = splitInteractive(task.interactive);
  const ways = [
    given.login === login ? undefined : given.login,
    screen && `VNC to ${login} with password ${screen.password}`,
    `as ${userInfo().username} on ${hostName}: ${operatorCommand(settings, "console", task.machine)}`,
  ];
  return {
    ...task,
    interactive: `${given.breakpoint} ${ways.filter((way) => way !== undefined).join("; or ")}`,
  };
}

/** What an operator types for one of this instance's machines. */
export function operatorCommand({ toolchain, runtime }: Settings, verb: string, machine: string): string {
  const words = ["croft machine", verb, machine];
  if (toolchain.name !== "default") words.push("--toolchain-name", toolchain.name);
  if (dirname(runtime) !== usualRuntime()) words.push("--runtime", dirname(runtime));
  return words.join(" ");
}

function usualRuntime(): string | undefined {
  try {
    return defaultRuntime();
  } catch {
    return undefined; // then the agent was given another, and so must be the command
  }
}
