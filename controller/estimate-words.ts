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
  const begins = startSeconds === null ? undefined : beginning(startSeconds);
  if (buildSeconds === null)
    return begins === undefined
      ? "no estimate"
      : `${begins}; how long it takes is known after its first success`;
  const takes = `takes about ${formatDuration(buildSeconds)}`;
  return begins === undefined ? `${takes} once it begins` : `${begins}, ${takes}`;
}

/** Why a build waits, and what is to be expected of it, as one sentence after "it waits: ". */
export function waitingText(reason: string, { buildSeconds, startSeconds }: Estimated): string {
  const expected = [
    // Who is about to take it stands in the reason.
    ...(startSeconds ? [`it ${beginning(startSeconds)}`] : []),
    ...(buildSeconds === null || startSeconds === null
      ? []
      : [`building takes about ${formatDuration(buildSeconds)}`]),
  ];
  return expected.length === 0 ? reason : `${reason}; ${expected.join(", and ")}`;
}

function beginning(startSeconds: number): string {
  return startSeconds === 0 ? "begins in a moment" : `begins in about ${formatDuration(startSeconds)}`;
}
