/** Named values, as configurations and environments have them, and how they change from one build to the next. */

export type Values = ReadonlyMap<string, string>;

/**
 * Lines of `.config`, `u-boot.cfg`, `autoconf.mk` or `autoconf.h`. `y` and `1` are the same, as one of these files has this
 * and another that.
 */
export function readConfiguration(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, defined, definition = "", assigned, value = ""] =
      /^\s*(?:#define\s+(CONFIG_\S+)(?:\s+(.*))?|([A-Za-z_]\w*)=(.*))$/.exec(line) ?? [];
    const name = defined ?? assigned;
    if (name === undefined) continue;
    const written = (defined === undefined ? value : definition || "1").trim();
    values.set(name, written === "y" ? "1" : written);
  }
  return values;
}

/** `NAME=VALUE`, each with a NUL at its end. */
export function readEnvironment(text: string): Map<string, string> {
  return new Map(
    text.split("\0").flatMap((word): [string, string][] => {
      const at = word.indexOf("=");
      return at > 0 ? [[word.slice(0, at), word.slice(at + 1)]] : [];
    }),
  );
}

/** `+ NAME=VALUE`, `- NAME=VALUE`, `NAME: OLD -> NEW`, those of a kind together; empty if nothing has changed. */
export function valueChanges(before: Values, after: Values): string[] {
  const added = [...after].filter(([name]) => !before.has(name));
  const removed = [...before].filter(([name]) => !after.has(name));
  const changed = [...after].filter(([name, value]) => before.has(name) && before.get(name) !== value);
  return [
    ...added.map(([name, value]) => `+ ${name}=${value}`),
    ...removed.map(([name, value]) => `- ${name}=${value}`),
    ...changed.map(([name, value]) => `${name}: ${before.get(name)} -> ${value}`),
  ];
}
