/** The agent's options, each declared once: the command line, the configuration file, the help and the manual derive from this. */
import { groupOf, type OptionDeclaration } from "../../os/command-line/options.ts";
import { cacheOptions } from "./options/caches.ts";
import { configurationOptions } from "./options/configuration.ts";
import { controllerOptions } from "./options/controllers.ts";
import { identityOptions } from "./options/identity.ts";
import { limitOptions } from "./options/limits.ts";
import { machineOptions } from "./options/machines.ts";
import { modeOptions } from "./options/modes.ts";
import { placeOptions } from "./options/places.ts";
import { serviceOptions } from "./options/service.ts";

/** Every option of `croft agent`, in the order of the help. */
export const agentOptions: readonly OptionDeclaration[] = [
  ...groupOf("Configuration", configurationOptions),
  ...groupOf("Service and log", serviceOptions),
  ...groupOf("Toolchain and instance", identityOptions),
  ...groupOf("Places", placeOptions),
  ...groupOf("Machines", machineOptions),
  ...groupOf("Caches", cacheOptions),
  ...groupOf("Controllers", controllerOptions),
  ...groupOf("Timeouts and retries", limitOptions),
  ...groupOf("Looking and testing", modeOptions),
];
