/** The thread that reads a result which may take long: it tells what has come of it, piece by piece as it is asked. */
import { parentPort, workerData } from "node:worker_threads";
import { piecesOf } from "./reading-pieces.ts";
import { readResultFile, type ResultFile } from "./result-file.ts";

const { file, maxBytes } = workerData as ResultFile;
const pieces = piecesOf(await readResultFile({ file, maxBytes }));
const tell = () => parentPort!.postMessage(pieces.next().value);
parentPort!.on("message", tell);
tell();
