/** Estimates in words, alike on pages and at the command line. */
import { formatDuration } from "../os/text/duration.ts";

/** As in fleet/estimates.ts. */
export interface Estimated {
  buildSeconds: number | null;
  startSeconds: number | null;
  remainingSeconds: number | null;
}

/** The same in a list, in few words; empty where it is not known. */
export function shortEstimate({ startSeconds, remainingSeconds }: Estimated): string {
  if (startSeconds !== null)
    return startSeconds === 0 ? "begins at once" : `begins in ~${rounded(startSeconds)}`;
  if (remainingSeconds === null) return "";
  return remainingSeconds === 0 ? "longer than usual" : `~${rounded(remainingSeconds)} to go`;
}

/** Nobody can tell the seconds of an hour's wait. */
function rounded(seconds: number): string {
  const unit = seconds < 120 ? 1 : 60;
  return formatDuration(Math.max(1, Math.round(seconds / unit) * unit));
}

/** What is to be expected of a build that waits or is being built. */
export function estimateText(
  state: string,
  { buildSeconds, startSeconds, remainingSeconds }: Estimated,
): string {
  if (state === "building") {
    if (buildSeconds === null) return "no estimate: it has not succeeded here before";
    const usual = `usually ${formatDuration(buildSeconds)}`;
    return remainingSeconds
      ? `about ${formatDuration(remainingSeconds)} to go, ${usual}`
      : `it takes longer than usual: ${usual}`;
  }
  const takes =
    buildSeconds === null
      ? "how long it takes is not known: it has not succeeded here before"
      : `takes about ${formatDuration(buildSeconds)}`;
  if (startSeconds === null)
    return buildSeconds === null ? "no estimate" : `no estimate of its beginning; ${takes}`;
  return `${startSeconds === 0 ? "begins at once" : `begins in about ${formatDuration(startSeconds)}`}; ${takes}`;
}
