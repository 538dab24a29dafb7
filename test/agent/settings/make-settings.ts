import type { OptionValues } from "../../../os/command-line/options.ts";
import { effectiveConfiguration } from "../../../agent/settings/effective-configuration.ts";
import { settingsOf, type Settings } from "../../../agent/settings/settings.ts";

/** The settings that an agent has with these options, controllers and configuration file. */
export function makeSettings(
  given: OptionValues,
  controllers: readonly string[],
  configurationFile = given["config"] as string | undefined,
): Settings {
  return settingsOf(effectiveConfiguration(given, controllers, configurationFile));
}
