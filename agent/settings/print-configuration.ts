import type { OptionDeclaration } from "../../os/command-line/options.ts";
import { loadYaml } from "../../os/command-line/yaml.ts";
import { controllersArgument } from "./controller-setting.ts";
import type { EffectiveConfiguration } from "./effective-configuration.ts";
import { agentOptions } from "./options.ts";
import type { Settings } from "./settings.ts";

/**
 * The effective configuration as YAML that can be used as a configuration file again: each value with a comment on
 * where it comes from. An option without a value of its own is a comment, so that it keeps its default in words.
 */
export function formatConfiguration(configuration: EffectiveConfiguration, settings: Settings): string {
  const { values, controllers, originOf } = configuration;
  const lines: string[] = [];
  let group: string | undefined;
  for (const option of agentOptions.filter(({ commandLineOnly }) => !commandLineOnly)) {
    if (option.group !== group) lines.push(...(group === undefined ? [] : [""]), `## ${option.group}`);
    group = option.group;
    const value = values[option.name];
    if (option.repeat) lines.push(...formatList(option.name, value as string[], originOf));
    else if (value === undefined && option.kind !== "flag")
      lines.push(comment(`${option.name}: ${unsetValue(option, settings)}`, originOf(option.name)));
    else lines.push(`${option.name}: ${scalar(value ?? false)} # ${oneLine(originOf(option.name))}`);
  }
  lines.push("", ...formatList(controllersArgument.name, controllers, originOf));
  return `${lines.join("\n")}\n`;
}

function formatList(
  name: string,
  items: readonly string[],
  originOf: EffectiveConfiguration["originOf"],
): string[] {
  if (items.length === 0) return [`${name}: [] # ${oneLine(originOf(name))}`];
  return [
    `${name}:`,
    ...items.map((item, index) => `  - ${scalar(item)} # ${oneLine(originOf(name, index))}`),
  ];
}

/** What an option that is not given stands for. */
function unsetValue(option: OptionDeclaration, settings: Settings): string {
  if (option.name === "toolchain-lock") return settings.toolchainLock || "no locking";
  if (option.name === "log-format") return settings.logFormat;
  return option.defaultWords ?? "not set";
}

/** On one line: a block of several could not be followed by a comment. */
function scalar(value: string | number | boolean | string[]): string {
  const text = loadYaml().stringify(value, { lineWidth: 0 }).trimEnd();
  return text.includes("\n") ? JSON.stringify(value) : text;
}

const oneLine = (text: string) => text.replace(/\p{Cc}/gu, "?");
const comment = (text: string, origin: string) => `# ${oneLine(text)} # ${oneLine(origin)}`;
