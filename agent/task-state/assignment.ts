import { withoutUndefined } from "../../os/without-undefined.ts";
import { formatTask, type Task } from "../../manifests/task.ts";
import type { ReceivedTask, UploadForm } from "./received-task.ts";

/** What a controller gave and where the answer goes, as the spool keeps it. */
export interface Assignment {
  /** Names the task to its controller. */
  session: string;
  /** The answer to the controller's challenge: its signature in base64. Absent without a challenge. */
  answer?: string;
  /** URL that takes the result; absent for a task that no controller gave. */
  resultUrl?: string;
  /** Artifact type to the URL that takes artifacts of it. */
  uploadUrls: Record<string, string>;
  /** How the controller takes artifacts: several files at once, or one archive after another. Absent: files. */
  uploadForm?: UploadForm;
  /** URL that takes signs of life until the result is accepted; absent if the controller wants none. */
  aliveUrl?: string;
  /** URL that takes the live log; absent if the controller takes none. */
  logUrl?: string;
  /** The text of the task manifest. */
  task: string;
}

/** @param task as the machine gets it. */
export function assignmentOf(
  { response, answer, aliveUrl, logUrl, uploadForm }: ReceivedTask,
  task: Task,
): Assignment {
  return withoutUndefined({
    session: response.session,
    uploadUrls: response.uploadUrls,
    task: Buffer.from(formatTask(task)).toString("utf8"),
    answer,
    resultUrl: response.resultUrl,
    aliveUrl,
    logUrl,
    uploadForm,
  });
}
