/** A developer's desk: a project, a home directory, and this machine as the only host. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { makeSourceHistory, type HistoryStep, type SourceHistory } from "../fixtures/source-history.ts";
import type { SshHosts } from "./ssh-hosts.ts";

export interface Desk extends SshHosts {
  history: SourceHistory;
  output: string;
  /** Of `croft boss`. */
  args: string[];
}

/** @param argumentsFor what `croft boss` is given besides `build --output`, for the desk's directory. */
export async function makeDesk(
  targets: readonly string[],
  steps: readonly HistoryStep[],
  argumentsFor: (directory: string) => readonly string[],
): Promise<Desk> {
  const own = await temporaryDirectory("croft-test-desk-");
  const directory = own.path;
  mkdirSync(join(directory, "desk"));
  const named = Object.fromEntries(targets.map((name) => [name, {}]));
  const output = join(directory, "results");
  return {
    ...{ directory, output, hosts: new Map(), env: process.env },
    history: makeSourceHistory(join(directory, "project"), named, steps),
    args: ["build", "--output", output, ...argumentsFor(directory), ...targets],
    [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
  };
}
