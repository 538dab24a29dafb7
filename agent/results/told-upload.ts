/** A result request that is changed after it was written down: it tells what became of the artifacts. */
import { once } from "node:events";
import { MiB } from "../../os/text/size.ts";
import { formatResultRequest, parseResultRequest } from "../../manifests/result-request.ts";
import { withUpload } from "./result.ts";
import { startThread } from "./thread.ts";

export interface ToldUpload {
  /** The text of the request. */
  request: Uint8Array;
  /** What became of the artifacts. */
  log: string;
  status: "warning" | "abort";
}

/** A thread would cost more than it saves. */
const smallBytes = MiB;

/** The request with an operation `upload`; a large one takes seconds, and so a thread. */
export async function withToldUpload(told: ToldUpload): Promise<Uint8Array> {
  if (told.request.length <= smallBytes) return tellUpload(told);
  const thread = startThread("told-upload", { workerData: told });
  try {
    const [text] = (await once(thread, "message")) as [Uint8Array];
    return text;
  } finally {
    await thread.terminate();
  }
}

/** Does it here and now. */
export function tellUpload({ request, log, status }: ToldUpload): Uint8Array {
  const { result, ...sender } = parseResultRequest(request, { lenient: true });
  return formatResultRequest({ ...sender, result: withUpload(result, status, log) });
}
