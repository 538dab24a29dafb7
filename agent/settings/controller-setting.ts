import { UsageFailure } from "../../os/failure.ts";
import type { OptionDeclaration } from "../../os/command-line/options.ts";

/** A controller to poll. */
export interface ControllerSetting {
  url: string;
  /** `[F]DCBA` (agent.md), 0 to 19999. */
  priority: number;
}

/** The controllers: arguments of the command, and a list in the configuration file. */
export const controllersArgument: OptionDeclaration = {
  name: "controllers",
  kind: "string",
  value: "[PRIORITY=]URL",
  repeat: true,
  check: (text) => {
    const read = readController(text);
    return "error" in read ? `'${text}': ${read.error}` : undefined;
  },
  prose: "a controller to ask for tasks; its priority has four or five digits, [F]DCBA, 0000 if not given",
};

/**
 * Parses `[<priority>=]<url>`.
 *
 * @throws {UsageFailure} for a priority that is not four or five digits up to 19999, or a bad URL.
 */
export function parseController(text: string): ControllerSetting {
  const read = readController(text);
  if ("error" in read) throw new UsageFailure(`use controller '${text}'`, read.error);
  return read;
}

/** `[<priority>=]<url>` as the command line takes it. */
export function formatController({ url, priority }: ControllerSetting): string {
  return `${String(priority).padStart(4, "0")}=${url}`;
}

/** The part before `=` is a priority only if it is all digits, since URLs contain `=`. */
function readController(text: string): ControllerSetting | { error: string } {
  const [, prefix, rest = text] = /^(\d*)=(.*)$/s.exec(text) ?? [];
  if (prefix !== undefined && (!/^\d{4,5}$/.test(prefix) || Number(prefix) > 19999))
    return { error: "its priority must be four or five digits, at most 19999" };
  if (!/^https?:\/\/\S+$/i.test(rest) || URL.parse(rest) === null)
    return { error: "expected an http or https URL" };
  return { url: rest, priority: Number(prefix ?? 0) };
}
