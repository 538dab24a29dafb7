/** Which compiler each host has for an architecture: where they differ, so do sizes, warnings and failures. */
import { quote } from "../../os/text/shell-word.ts";
import { answer } from "./scripts.ts";

/** Architecture to what its compiler says of itself, in a line. */
export type Compilers = Readonly<Record<string, string>>;

/** The host's own has no name that is looked for. */
export const hostCompiler = "cc";

/** Shell that says `has version:<architecture> <first line of --version>`, if there is one. */
export function versionOf(architecture: string, compiler: string): string {
  return `v=$(${compiler} --version 2>/dev/null </dev/null); v=\${v%%
*}
[ -z "$v" ] || ${answer(`${quote(`has version:${architecture} `)}"$v"`)}`;
}

/** From the script's answers. */
export function readVersions(answers: readonly string[]): Compilers {
  return Object.fromEntries(
    answers.flatMap((line) => {
      const [, architecture, version] = /^has version:(\S+) (.+)$/.exec(line) ?? [];
      return version === undefined ? [] : [[architecture!, version]];
    }),
  );
}

/** Compilers for an architecture that are not the same. */
export interface Drift {
  architecture: string;
  /** What there is, and who has it. */
  versions: { version: string; hosts: string[] }[];
}

/** @param byHost what each host has. */
export function driftOf(byHost: ReadonlyMap<string, Compilers>): Drift[] {
  const all = [...byHost].flatMap(([host, compilers]) =>
    Object.entries(compilers).map(([architecture, version]) => ({ host, architecture, version })),
  );
  return [...Map.groupBy(all, ({ architecture }) => architecture)].flatMap(([architecture, each]) => {
    const versions = [...Map.groupBy(each, ({ version }) => version)].map(([version, same]) => ({
      ...{ version, hosts: same.map(({ host }) => host) },
    }));
    return versions.length > 1 ? [{ architecture, versions }] : [];
  });
}

/** What a host had when it last took part, and has no more. */
export function changesSince(
  before: ReadonlyMap<string, Compilers>,
  now: ReadonlyMap<string, Compilers>,
): { host: string; architecture: string; before: string; now: string }[] {
  return [...now].flatMap(([host, compilers]) =>
    Object.entries(compilers).flatMap(([architecture, version]) => {
      const had = before.get(host)?.[architecture];
      return had === undefined || had === version ? [] : [{ host, architecture, before: had, now: version }];
    }),
  );
}
