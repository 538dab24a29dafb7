import type { ControllerSetting } from "../settings/settings.ts";
import type { TaskResponse } from "../../manifests/task-response.ts";
import type { Task } from "../../manifests/task.ts";

/** The forms of a request with artifacts; the second is that of controllers that are not croft's. */
export type UploadForm = "files" | "archives";

/** A task that a controller has given, and that may be performed. */
export interface ReceivedTask {
  /** Who gave it. */
  controller: ControllerSetting;
  /** The whole answer to the task request. */
  response: TaskResponse;
  /** The task in the response. */
  task: Task;
  /** The answer to the controller's challenge: its signature in base64. Absent without a challenge. */
  answer?: string;
  /** How the controller takes artifacts: several files at once, or one archive after another. Absent: files. */
  uploadForm?: UploadForm;
  /** How long the controller waits for a result at the most; absent: as long as this agent builds. */
  timeoutSeconds?: number;
  /** False: a machine that this build fails is not held for the operator. Absent: it is. */
  mayHold?: false;
  /** The controller knows where its source came from: what it leaves in caches may be given to others of its repository. */
  isTrusted?: true;
  /** URL that takes signs of life; absent if the controller wants none. */
  aliveUrl?: string;
  /** URL that takes the live log; absent if the controller takes none. */
  logUrl?: string;
  /** URL that has secrets for the machine; absent if it is given none. */
  secretsUrl?: string;
  /** URL that has the archive of the working tree that it is to build; absent if it has a repository. */
  treeUrl?: string;
}
