/** Changes of a configuration that the settings ask for, in shell commands for projects with Kconfig. */
import { Failure } from "../../os/failure.ts";
import { quote } from "../../os/text/shell-word.ts";
import type { Settings } from "../protocol.ts";

/** Fragments as words after `make …_defconfig`, which merges them. */
export function fragmentWords({ fragments = [] }: Settings): string {
  return fragments.map((name) => ` ${quote(name)}`).join("");
}

/**
 * What follows `make …_defconfig`: the lines of `.config` are replaced (a second line for a symbol would be a warning), and
 * `make olddefconfig` settles what depends on them. Nothing, if there is nothing to change.
 *
 * @param make with its arguments up to the target.
 * @throws {Failure} for a change that is none.
 */
export function adjustCommand({ adjust_cfg: changes = [] }: Settings, make: string): string {
  if (changes.length === 0) return "";
  const parsed = changes.map((change) => {
    const [, off, name, value] = /^(~?)(?:CONFIG_)?(\w+)(?:=(.*))?$/s.exec(change) ?? [];
    if (name === undefined || (off !== "" && value !== undefined))
      throw new Failure(`change the configuration by '${change}'`, "expected NAME, ~NAME or NAME=VALUE");
    return { name, line: off === "" ? `CONFIG_${name}=${value ?? "y"}` : `# CONFIG_${name} is not set` };
  });
  const removals = parsed.map(
    ({ name }) => ` -e ${quote(`/^CONFIG_${name}=/d`)} -e ${quote(`/^# CONFIG_${name} is not set$/d`)}`,
  );
  const lines = parsed.map(({ line }) => ` ${quote(line)}`).join("");
  return ` && sed -i${removals.join("")} {out}/.config && printf '%s\\n'${lines} >> {out}/.config && ${make} olddefconfig`;
}
