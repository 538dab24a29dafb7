/** What is kept of builds that have ended, and for how long. */

/** Each rule by itself removes what is beyond it; one that is not there removes nothing. */
export interface RetentionRules {
  /** Builds are kept for so many days after their end. */
  days?: number;
  /** Of each package and target, so many of the newest builds that have ended. */
  builds?: number;
  /** The live logs of builds that have ended with a result, whose logs say the same, for so many days after it. */
  liveLogDays?: number;
}

/** Why a build goes. */
export type Reason = "age" | "count";

/** What went, or would go. */
export interface PruneReport {
  builds: { id: number; reason: Reason }[];
  liveLogs: Amount;
  /** Logs and artifacts that nothing refers to. */
  blobs: Amount;
}

export interface Amount {
  count: number;
  bytes: number;
}

export function add(amount: Amount, bytes: number): void {
  amount.count++;
  amount.bytes += bytes;
}
