/** The thread that reads a result which may take long: it tells what has come of it, and ends. */
import { parentPort, workerData } from "node:worker_threads";
import { readResultFile, type ResultFile } from "./result-file.ts";

const { file, maxBytes } = workerData as ResultFile;
parentPort!.postMessage(await readResultFile({ file, maxBytes }));
