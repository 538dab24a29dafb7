import type { Fields } from "./fields.ts";
import type { ParseOptions } from "./parse-options.ts";
import { parseSingle, type Entry } from "./sections.ts";
import { version } from "./version.ts";

/** What a machine reports after its bootstrap. */
export interface Bootstrap {
  /** Versions by component: `<component>-version`. croft's worker is `croft`. */
  versions: Record<string, string>;
}

/** Reads a bootstrap manifest. */
export function readBootstrap(fields: Fields): Bootstrap {
  return { versions: fields.record(/^(.+)-version$/, version) };
}

/** @throws {ManifestError} */
export function parseBootstrap(bytes: Uint8Array, options: ParseOptions = {}): Bootstrap {
  return parseSingle(bytes, options, "bootstrap manifest", readBootstrap);
}

export function bootstrapEntries(bootstrap: Bootstrap): Entry[] {
  return Object.entries(bootstrap.versions).map(([component, value]) => [`${component}-version`, value]);
}
