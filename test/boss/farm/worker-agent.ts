/** An agent whose machines are the guest's worker in namespaces of this host: real tasks, real results, no QEMU. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { formatResultRequest } from "../../../manifests/result-request.ts";
import { formatTask } from "../../../manifests/task.ts";
import { post, requestTask, type ReceivedTask } from "../../controller/farm.ts";
import { runGuest } from "../../worker/guest.ts";

const pauseMs = 100;

/** Performs tasks of a controller until the signal comes. */
export async function performTasks(url: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const task = await requestTask(url);
    if (task.task) await perform(url, task);
    else await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
}

async function perform(url: string, received: ReceivedTask): Promise<void> {
  const manifest = Buffer.from(formatTask(received.task!)).toString();
  const { result, artifacts } = await runGuest({ shell: "dash", task: manifest, diskMiB: 128 });
  for (const [path, content] of artifacts) {
    const [type = "", name = ""] = path.split("/");
    const form = new FormData();
    form.set("session", received.session);
    form.append("sha256", createHash("sha256").update(content).digest("hex"));
    form.append("file", new Blob([new Uint8Array(content)]), name);
    const address = received.uploadUrls[type] ?? `${url}/agent/upload/${received.session}/${type}`;
    await accepted(await fetch(address, { method: "POST", body: form }));
  }
  const body = formatResultRequest({ session: received.session, agentChecksum: "croft-1", result });
  await accepted(await post(received.resultUrl!, body, "text/manifest"));
}

async function accepted(response: Response): Promise<void> {
  if (!response.ok) throw new Error(`${response.url} answers ${response.status}: ${await response.text()}`);
}
