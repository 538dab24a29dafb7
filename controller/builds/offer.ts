/** What agents offer, and whether that is what a build needs. */
import { auxiliariesFor, type AuxiliaryOffer } from "./auxiliary.ts";
import { matchesPattern } from "./name-pattern.ts";
import type { QueueKey } from "./queue.ts";

/** An idle agent asks every minute; one that has not been heard for longer is busy or gone. */
export const freshMs = 150_000;

/** What an agent offers. */
export interface Offer extends AuxiliaryOffer {
  agent: string;
  /** Whether it is of another make than croft, and reads less of a task (manifests/portable-task.ts). */
  isForeign?: boolean;
  toolchain: string;
  interactive: "false" | "true" | "both";
  fingerprint?: string;
  /** Whether it has proved who it is, and secrets would reach it unread: it may have builds that are private. */
  mayHavePrivate?: boolean;
  /** Whether it gives builds their variables. */
  takesVariables?: boolean;
  /** Whether it gets working trees from the controller, and hands them to the machine. */
  takesTrees?: boolean;
  /** Names of the build machines, the agent's favourite first. */
  machines: readonly string[];
}

/** An offer, whoever makes it. */
export type AnonymousOffer = Omit<Offer, "agent">;

/** Whether who makes an offer can read a build's task. */
export function canRead(offer: AnonymousOffer, croftOnly: boolean): boolean {
  return !croftOnly || offer.isForeign !== true;
}

/** The offered machine that builds of a queue are for, if the agent will take them. */
export function machineFor(candidate: QueueKey, offer: AnonymousOffer): string | undefined {
  const accepted = offer.interactive === "both" || candidate.interactive === (offer.interactive === "true");
  if (candidate.private === true && offer.mayHavePrivate !== true) return undefined;
  if (candidate.variables === true && offer.takesVariables !== true) return undefined;
  if (candidate.trees === true && offer.takesTrees !== true) return undefined;
  if (!accepted || !matchesPattern(candidate.toolchain, offer.toolchain)) return undefined;
  if (candidate.auxiliary && !auxiliariesFor(candidate.auxiliary, offer)) return undefined;
  return offer.machines.find((name) => matchesPattern(candidate.machine, name));
}
