import { present } from "./fields.ts";
import type { ParseOptions } from "./parse-options.ts";
import { Sections, formatSections, type Entry } from "./sections.ts";
import { readTask, taskEntries, type Task } from "./task.ts";
import { token, word } from "./values.ts";

/** A controller's answer to a task request. */
export interface TaskResponse {
  /** Empty: there is no task, and nothing else is set. */
  session: string;
  /** To be signed. */
  challenge?: string;
  /** Where the result goes. */
  resultUrl?: string;
  /** Where artifacts go, by their type: `<type>-upload-url`. */
  uploadUrls: Record<string, string>;
  /** The agent's logic version at the previous build of this task. */
  agentChecksum?: string;
  task?: Task;
}

/** A type is also a directory name. */
const uploadUrlName = /^((?!\.)[A-Za-z0-9_+.-]+)-upload-url$/;

/** @throws {ManifestError} */
export function parseTaskResponse(bytes: Uint8Array, options: ParseOptions = {}): TaskResponse {
  const sections = new Sections(bytes, options);
  const header = sections.take("task response manifest", (fields) => {
    const challengeAt = fields.indexOf("challenge");
    const session = fields.required("session", token);
    const challenge = fields.optional("challenge", token);
    const resultUrl = fields.optional("result-url", word);
    if (session === "" && challengeAt !== undefined)
      fields.fail("challenge", challengeAt, "there is no session");
    if (session !== "" && resultUrl === undefined) fields.lacks("result-url");
    return {
      session,
      challenge,
      resultUrl,
      uploadUrls: fields.record(uploadUrlName, word),
      agentChecksum: fields.optional("agent-checksum", token),
    };
  });
  const task = header.session === "" ? undefined : sections.take("task manifest", readTask);
  sections.end();
  return present<TaskResponse>({ ...header, task });
}

/** @throws {ManifestWriteError} */
export function formatTaskResponse(response: TaskResponse): Uint8Array {
  const header: Entry[] = [
    ["session", response.session],
    ["challenge", response.challenge],
    ["result-url", response.resultUrl],
    ...Object.entries(response.uploadUrls).map(([type, url]): Entry => [`${type}-upload-url`, url]),
    ["agent-checksum", response.agentChecksum],
  ];
  return formatSections(response.task ? [header, taskEntries(response.task)] : [header]);
}
