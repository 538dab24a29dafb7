import { readOptionsFile } from "../../os/command-line/options-file.ts";
import { withDefaults, type OptionValues } from "../../os/command-line/options.ts";
import { controllersArgument, parseController } from "./controller-setting.ts";
import { agentOptions } from "./options.ts";

/** Every option's value, with where it comes from. */
export interface EffectiveConfiguration {
  values: OptionValues;
  /** As `[PRIORITY=]URL`, all of them good. */
  controllers: readonly string[];
  /** `command line`, `FILE:LINE` or `default`, of an option (or `controllers`) or of one item of its list. */
  originOf(name: string, item?: number): string;
}

/**
 * Puts the command line's values over the configuration file's, and those over the defaults. A list, the controllers
 * among them, is replaced as a whole.
 *
 * @throws {UsageFailure} for a file that cannot be used, and for a bad controller.
 */
export function effectiveConfiguration(
  given: OptionValues,
  controllerArguments: readonly string[],
  configurationFile: string | undefined,
): EffectiveConfiguration {
  controllerArguments.forEach(parseController);
  const { controllers, ...onCommandLine }: OptionValues = {
    ...given,
    ...(controllerArguments.length > 0 ? { controllers: [...controllerArguments] } : {}),
  };
  const file =
    configurationFile === undefined
      ? undefined
      : readOptionsFile(configurationFile, [...agentOptions, controllersArgument]);
  return {
    values: withDefaults({ ...file?.values, ...onCommandLine }, agentOptions),
    controllers: (controllers ?? file?.values["controllers"] ?? []) as string[],
    originOf: (name, item) => {
      const fromCommandLine = name === "controllers" ? controllers : onCommandLine[name];
      if (fromCommandLine !== undefined) return "command line";
      return file?.values[name] === undefined ? "default" : file.locate(name, item);
    },
  };
}
