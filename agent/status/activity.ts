/** What an agent may be doing: each phase with its text and the longest time it should take. */
import { formatDuration } from "../../os/text/duration.ts";
import { withoutQuery } from "../../os/network/url.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { Settings } from "../settings/settings.ts";

/** A phase, and what it is about. */
export interface Activity {
  phase: Phase;
  /** Name of the machine. */
  machine?: string;
  /** `name/version` of the task. */
  task?: string;
  /** URL of the controller that gave it. */
  controller?: string;
  /** Whoever knows it may send a result: for the log only. */
  session?: string;
  /** Why, in words. */
  reason?: string;
}

interface PhaseDescription {
  text: (activity: Activity) => string;
  /** The time in it is part of the text, which is told again and again: something that an operator may wait for. */
  timed?: boolean;
  /** A machine has come up, so that the fault which kept others from it is over. */
  works?: boolean;
  /** Longer than this it should not take, in seconds; without it, as long as it likes. */
  limitSeconds?: (settings: Settings) => number;
}

const aMoment = 60;
/** Snapshots wait for the disks: machines/btrfs.ts gives them 10 minutes. */
const storageSeconds = 900;
/** An instance that holds the toolchain lock may be asking each of its controllers for up to a minute. */
const askingSeconds = ({ controllers }: Settings) => aMoment * (controllers.length + 1);

const subject = ({ task, machine, controller }: Activity) =>
  [task, machine && `on ${machine}`, controller && `for controller ${withoutQuery(controller)}`]
    .filter(Boolean)
    .join(" ");

const table = {
  starting: { text: () => "starting", limitSeconds: () => 1800 },
  locking: {
    text: () => "waiting for the toolchain lock",
    limitSeconds: (settings) => storageSeconds + askingSeconds(settings),
  },
  enumerating: { text: () => "looking through the machines", limitSeconds: () => storageSeconds },
  polling: {
    text: ({ reason }) => reason ?? "asking the controllers",
    limitSeconds: (settings) => aMoment + askingSeconds(settings),
  },
  interrupting: {
    text: ({ task, reason }) =>
      `interrupting ${reason ?? "what has a lower priority"} for ${task ?? "a task"}`,
    limitSeconds: () => 5 * aMoment,
  },
  idle: {
    text: ({ reason }) => reason ?? "waiting",
    limitSeconds: ({ pollIntervalSeconds }) => pollIntervalSeconds + aMoment,
  },
  booting: {
    text: (activity) => `starting ${activity.machine ?? "a machine"}${purpose(activity)}`,
    timed: true,
    limitSeconds: ({ startupTimeoutSeconds: { bootstrap, build }, bootstrapRetries, buildRetries }) =>
      (Math.max(bootstrap, build) + 2 * aMoment) * (Math.max(bootstrapRetries, buildRetries) + 1) +
      storageSeconds,
  },
  bootstrapping: {
    text: ({ machine }) => `bootstrapping ${machine ?? "a machine"}`,
    timed: true,
    works: true,
    limitSeconds: ({ bootstrapTimeoutSeconds }) => bootstrapTimeoutSeconds + 300 + storageSeconds,
  },
  saving: {
    text: ({ machine }) => `saving ${machine ?? "a machine"} where it waits for a task`,
    timed: true,
    works: true,
    limitSeconds: ({ startupTimeoutSeconds: { build } }) => build + 300 + storageSeconds,
  },
  restoring: {
    text: ({ machine }) => `restoring ${machine ?? "a machine"} ahead of its next task`,
    limitSeconds: () => 300 + storageSeconds,
  },
  building: {
    text: (activity) => `building ${subject(activity)}`,
    timed: true,
    works: true,
    limitSeconds: ({ buildTimeoutSeconds, interactiveTimeoutSeconds }) =>
      Math.max(buildTimeoutSeconds, interactiveTimeoutSeconds) + 2 * aMoment,
  },
  extracting: {
    text: (activity) => `taking the result of ${subject(activity)}`,
    timed: true,
    limitSeconds: () => 3600,
  },
  recording: {
    text: (activity) => `writing the result of ${subject(activity)} to the spool`,
    timed: true,
    limitSeconds: () => 300,
  },
  delivering: {
    text: (activity) =>
      activity.task === undefined ? "sending earlier results" : `sending the result of ${subject(activity)}`,
    timed: true,
    limitSeconds: ({ requestTimeoutSeconds, uploadMaxBytes }) =>
      2 * requestTimeoutSeconds + uploadMaxBytes / (256 * 1024) + 600,
  },
  suspended: {
    text: (activity) => `holding ${subject(activity)} suspended: ${activity.reason ?? "it failed"}`,
    timed: true,
    works: true,
  },
  pausing: { text: ({ reason }) => `pausing after a fault: ${reason ?? "see the log"}`, timed: true },
} as const satisfies Record<string, PhaseDescription>;

export type Phase = keyof typeof table;

/** Every phase, in the order of an agent's life. */
export const phases = Object.keys(table) as Phase[];

export function describePhase(phase: Phase): PhaseDescription {
  return table[phase];
}

/** In one line, with the time it has taken so far for what takes long. */
export function activityText(activity: Activity, seconds: number): string {
  const { text, timed } = describePhase(activity.phase);
  return timed ? `${text(activity)}, ${formatDuration(seconds)}` : text(activity);
}

function purpose({ task, controller }: Activity): string {
  return task === undefined
    ? " to bootstrap it"
    : ` to build ${subject({ phase: "building", task, ...withoutUndefined({ controller }) })}`;
}
