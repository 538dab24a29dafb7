/** The farm of the tests with a Debian machine: it is up before the first of a file, and down after the last. */
import { after, before } from "node:test";
import { startFarm, type Farm } from "../fixtures/farm.ts";

/** @returns what gives the farm to a test. */
export function debianFarm(): () => Farm {
  let farm: Farm | undefined;
  before(async () => {
    farm = await startFarm({ machine: "debian", agent: ["--cpu", "2"] });
    await farm.startAgent();
  });
  after(async () => {
    await farm?.[Symbol.asyncDispose]();
  });
  return () => farm!;
}
