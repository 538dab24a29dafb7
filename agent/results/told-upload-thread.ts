/** The thread that tells a large result what became of its artifacts. */
import { parentPort, workerData } from "node:worker_threads";
import { tellUpload, type ToldUpload } from "./told-upload.ts";

const text = tellUpload(workerData as ToldUpload);
parentPort!.postMessage(text, [text.buffer as ArrayBuffer]);
