/** The farm of the tests with a Debian machine: it is up before the first of a file, and down after the last. */
import { after, before } from "node:test";
import { startFarm, type Farm } from "../../fixtures/farm.ts";
import { packSource } from "../../worker/sources.ts";

/** @returns what gives the farm to a test. */
export function debianFarm(): () => Farm {
  let farm: Farm | undefined;
  before(async () => {
    farm = await startFarm({ machine: "debian", from: "kept", cpus: 2 });
    await farm.startAgent();
  });
  after(async () => {
    await farm?.[Symbol.asyncDispose]();
  });
  return () => farm!;
}

/** A project of one C file. */
export const makefile = (test: string) =>
  `all: hello\nhello: hello.c\n\tcc -Wall -o hello hello.c\ntest: hello\n\t${test}\n`;
export const program = (line: string) => `#include <stdio.h>\nint main(void) {\n${line}\nreturn 0;\n}\n`;

/** Builds an archive of these files, and tells how it went. */
export async function buildIn(farm: Farm, name: string, files: Record<string, string>) {
  await packSource(farm.sources, files, `${name}-1.0.tar.gz`);
  const id = await farm.submit({ name });
  const view = await farm.ended(id);
  return {
    view,
    statuses: view.operations.map((operation) => `${operation.name} ${operation.status}`),
    log: await farm.log(id),
  };
}
