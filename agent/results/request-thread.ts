/** The thread that changes a large result request. */
import { parentPort, workerData } from "node:worker_threads";
import { changeRequest, type ChangedRequest } from "./changed-request.ts";

const text = changeRequest(workerData as ChangedRequest);
parentPort!.postMessage(text, [text.buffer as ArrayBuffer]);
