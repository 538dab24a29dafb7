import type { Log } from "../host/log.ts";
import type { Context } from "./context.ts";
import { keepEvidence } from "./evidence.ts";
import type { Exchange } from "./exchange.ts";

/**
 * Tells the operator about a machine that misbehaved and keeps what can be looked at: its console, and files that it
 * sent. The machine is powered off afterwards.
 */
export async function softFail(
  context: Context,
  failed: { name: string; exchange?: Exchange; files?: readonly string[]; reason: string; log: Log },
  message: string,
): Promise<void> {
  const machine = failed.exchange?.machine;
  const files = [...(failed.files ?? []), ...(machine ? [machine.consoleFile] : [])];
  const evidence = await keepEvidence(context.directories.evidence, failed.name, files, failed.log);
  failed.log.error({ reason: failed.reason, evidence, description: machine?.describe() }, message);
}
