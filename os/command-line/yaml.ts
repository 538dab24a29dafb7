/** The library for YAML, loaded when it is first used: 70 modules, and most processes have no configuration file. */
import { createRequire } from "node:module";

type Yaml = typeof import("yaml");

let loaded: Yaml | undefined;

/** Loads it without waiting, as `import()` could not. */
export function loadYaml(): Yaml {
  return (loaded ??= createRequire(import.meta.url)("yaml") as Yaml);
}
