import { run } from "../../os/run.ts";
import { admittingRules, expellingRules, interfaceName, type MachineRules } from "./rules.ts";

const timeoutSeconds = 30;

/** Lets a machine in; what there was of its interface is replaced. */
export async function admitMachine(machine: MachineRules, signal?: AbortSignal): Promise<void> {
  await nft(admittingRules(machine), signal);
}

/** Has the kernel judge the rules that a machine would be let in with, and changes nothing. */
export async function tryRules(machine: MachineRules, signal?: AbortSignal): Promise<void> {
  await run(["nft", "--check", "-f", "-"], {
    ...{ timeoutSeconds, input: admittingRules(machine) },
    ...(signal && { signal }),
  });
}

/** Forgets the machine of an interface, whether there was one or not. */
export async function expelMachine(offset: number): Promise<void> {
  await nft(expellingRules(offset, await addressesOf(offset)));
}

/** Addresses that the machine of an interface has used lately. */
async function addressesOf(offset: number): Promise<string[]> {
  const argv = ["nft", "--numeric", "list", "set", "bridge", "croft", interfaceName(offset)];
  const { stdout } = await run(argv, { timeoutSeconds, accept: [1] }); // there may be none
  return stdout.match(/\b\d+\.\d+\.\d+\.\d+\b/g) ?? [];
}

async function nft(text: string, signal?: AbortSignal): Promise<void> {
  await run(["nft", "-f", "-"], { timeoutSeconds, input: text, ...(signal && { signal }) });
}
