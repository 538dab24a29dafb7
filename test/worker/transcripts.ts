/** Sessions of a boss with U-Boot's buildman worker, as they were recorded: `>>` boss to worker, `<<` worker to boss. */
import { globSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { packageFile } from "../../os/files/package.ts";

export interface RecordedLine {
  from: "boss" | "worker";
  text: string;
}

/** All transcripts by name. */
export function transcripts(): Map<string, RecordedLine[]> {
  const files = globSync(packageFile("test", "worker", "vectors", "*.jsonl")).sort();
  return new Map(files.map((file) => [basename(file, ".jsonl"), readTranscript(file)]));
}

function readTranscript(file: string): RecordedLine[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => ({ from: line.startsWith(">>") ? "boss" : "worker", text: line.slice(3) }));
}
