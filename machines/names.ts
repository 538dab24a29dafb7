import { bootstrapProtocol, warmName } from "./layout.ts";

/**
 * Says what is wrong with a toolchain name, or undefined.
 *
 * Everything of a machine lies side by side in its directory as `M-<tail>`; the grammar keeps the tails apart: no
 * dash (`M-T-I-xxxxxx`, `M-T-K.lock`), no digit at the start (`M-1`, `M-1.2`), and not the ending of a lock (`M-T.lock`).
 */
export function checkToolchainName(name: string): string | undefined {
  if (!/^[A-Za-z_][A-Za-z0-9_.+]*$/.test(name))
    return "expected letters, digits, '_', '.' and '+', not starting with a digit";
  if (name.endsWith(".lock")) return "it must not end in '.lock'";
  if (name.length > 100) return "it must not be longer than 100 characters";
  return undefined;
}

/** Says what is wrong with the name of a machine or a volume, or undefined. */
export function checkMachineName(name: string): string | undefined {
  if (!/^[A-Za-z0-9_+-][A-Za-z0-9_+.-]*$/.test(name))
    return "expected letters, digits, '_', '+', '.' and '-', not starting with '.'";
  if (name.length > 120) return "it must not be longer than 120 characters";
  return undefined;
}

/** What an entry of a machine's directory is. */
export type MachineEntry =
  | { kind: "current" }
  | { kind: "revision"; revision: number }
  | { kind: "bootstrapped"; toolchain: string }
  | { kind: "lock"; toolchain: string; copy: number }
  | { kind: "temporary"; toolchain: string; instance: number }
  | { kind: "removed" };

/** Says what an entry of the directory of the machine is by its name, or undefined if it is nothing of ours. */
export function classifyEntry(machine: string, entry: string): MachineEntry | undefined {
  if (isRemoved(entry)) return { kind: "removed" };
  if (!entry.startsWith(`${machine}-`)) return undefined;
  const tail = entry.slice(machine.length + 1);
  if (tail === String(bootstrapProtocol)) return { kind: "current" };
  const revision = /^(\d+)\.(0|[1-9]\d{0,8})$/.exec(tail);
  if (revision)
    return revision[1] === String(bootstrapProtocol)
      ? { kind: "revision", revision: Number(revision[2]) }
      : undefined;
  const temporary = /^([^-]+)-([1-9]\d?)-[A-Za-z0-9]{6}$/.exec(tail);
  if (temporary && checkToolchainName(temporary[1]!) === undefined)
    return { kind: "temporary", toolchain: temporary[1]!, instance: Number(temporary[2]) };
  const lock = /^([^-]+)(?:-([2-9]|[1-9]\d))?\.lock$/.exec(tail);
  if (lock && checkToolchainName(lock[1]!) === undefined)
    return { kind: "lock", toolchain: lock[1]!, copy: Number(lock[2] ?? 1) };
  return checkToolchainName(tail) === undefined ? { kind: "bootstrapped", toolchain: tail } : undefined;
}

/** Whether a file of a machine is one of its disks; they are attached in the order of their names. */
export function isDisk(name: string): boolean {
  return /^disk.*\.(img|qcow2)$/.test(name);
}

/** A hidden name for a saved state that an instance makes, in the bootstrapped machine. */
export function newStateName(instance: number): string {
  return `.${warmName}-${instance}-${randomTail()}`;
}

/** Whether an entry of a bootstrapped machine is a saved state, or an incomplete one: of an instance, if that is given. */
export function isSavedState(name: string, instance?: number): boolean {
  const [, number] = /^\.warm-(\d+)-[a-z0-9]{6}$/.exec(name) ?? [];
  if (instance !== undefined) return number === String(instance);
  return number !== undefined || name === warmName;
}

/** A hidden name for a tree that is being removed, beside it; see {@link isRemoved}. */
export function removedName(name: string): string {
  return `.${name}.${randomTail()}.removed`;
}

/** True for the name of a tree whose removal was begun: anyone may finish it. */
export function isRemoved(name: string): boolean {
  return /^\..+\.[A-Za-z0-9]{6}\.removed$/.test(name);
}

/** Six random letters and digits. */
export function randomTail(): string {
  const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  const bytes = crypto.getRandomValues(new Uint32Array(6));
  return Array.from(bytes, (byte) => letters[byte % letters.length]).join("");
}
