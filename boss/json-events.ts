import type { Matrix } from "./matrix/matrix.ts";
import type { PartialObserver } from "./dispatch/observers.ts";

/** Events of a run for programs: one JSON object a line, each with `event` and `time`. */
export function jsonEvents(matrix: Matrix, write: (line: string) => void): PartialObserver {
  const tell = (event: string, fields: Record<string, unknown>) =>
    write(`${JSON.stringify({ event, time: new Date().toISOString(), ...fields })}\n`);
  const targetName = (target: number) => matrix.targetAt(target).name;
  return {
    starting: (host) => tell("starting", { host: host.name }),
    started: (host, threads, slots) => tell("started", { host: host.name, threads, slots }),
    notStarted: (host, reason, busy) => tell(busy ? "busy" : "failed-to-start", { host: host.name, reason }),
    lost: (host, reason, restarting) => tell("lost", { host: host.name, reason, restarting }),
    given: (host, target) => tell("given", { host: host.name, target: targetName(target) }),
    result: (host, target, commit, result) =>
      tell("result", {
        host: host.name,
        target: targetName(target),
        commit: matrix.commitAt(commit).hash,
        returnCode: result.return_code,
        warnings: result.return_code === 0 && result.stderr !== "",
      }),
    doubted: (host, target, reason) =>
      tell("doubted", { host: host.name, target: targetName(target), reason }),
    setAside: (host, reason) => tell("set-aside", { host: host.name, reason }),
    gaveUp: (target, reason) => tell("given-up", { target: targetName(target), reason }),
  };
}
