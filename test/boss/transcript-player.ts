/**
 * Plays the worker of a recorded session: `node transcript-player.ts TRANSCRIPT LOG`. It answers each command as that
 * worker did, a command that comes again as it did the first time, and notes what it receives.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [transcript, log] = process.argv.slice(2);
const answers = new Map<string, string[]>();
let current = "start";
for (const line of readFileSync(transcript!, "utf8").split("\n")) {
  if (line.startsWith(">> ")) current = (JSON.parse(line.slice(3)) as { cmd: string }).cmd;
  else if (line.startsWith("<<")) answers.set(current, [...(answers.get(current) ?? []), line.slice(3)]);
}

function answer(command: string): void {
  for (const line of answers.get(command) ?? []) process.stdout.write(`${line}\n`);
}

answer("start");
for await (const line of createInterface({ input: process.stdin })) {
  appendFileSync(log!, `${line}\n`);
  const { cmd } = JSON.parse(line) as { cmd: string };
  answer(cmd);
  if (cmd === "quit") break;
}
