/** Result requests that are changed after they were written down: by what became of the artifacts, or as they are too large. */
import { once } from "node:events";
import { MiB } from "../../os/text/size.ts";
import { formatResultRequest, parseResultRequest } from "../../manifests/result-request.ts";
import { withUpload } from "./result.ts";
import { shortened } from "./shortened.ts";
import { startThread } from "./thread.ts";

export type ChangedRequest = {
  /** The text of the request. */
  request: Uint8Array;
} & (ToldUpload | { maxBytes: number });

interface ToldUpload {
  /** What became of the artifacts. */
  log: string;
  status: "warning" | "abort";
}

/** A thread would cost more than it saves. */
const smallBytes = MiB;

/** The request with an operation `upload`, or with its logs cut to about so many bytes; a large one takes seconds, and so a thread. */
export async function withChange(changed: ChangedRequest): Promise<Uint8Array> {
  if (changed.request.length <= smallBytes) return changeRequest(changed);
  const thread = startThread("request", { workerData: changed });
  try {
    const [text] = (await once(thread, "message")) as [Uint8Array];
    return text;
  } finally {
    await thread.terminate();
  }
}

/** Does it here and now. */
export function changeRequest(changed: ChangedRequest): Uint8Array {
  const { result, ...sender } = parseResultRequest(changed.request, { lenient: true });
  const other =
    "maxBytes" in changed
      ? shortened(result, changed.maxBytes / changed.request.length)
      : withUpload(result, changed.status, changed.log);
  return formatResultRequest({ ...sender, result: other });
}
