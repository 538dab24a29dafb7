import type { ControllerSetting } from "../settings/settings.ts";
import type { TaskResponse } from "../../manifests/task-response.ts";
import type { Task } from "../../manifests/task.ts";

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
  /** URL that takes the live log; absent if the controller takes none. */
  logUrl?: string;
}
