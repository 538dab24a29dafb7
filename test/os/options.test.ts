import assert from "node:assert/strict";
import { test } from "node:test";
import { makeCommand } from "../../os/command-line/command.ts";
import { addOptions, givenValues, withDefaults } from "../../os/command-line/options.ts";

test("a flag called no-x is one of its own, false unless given", () => {
  const options = [{ name: "no-suspend", kind: "flag", prose: "power off" }] as const;
  const parse = (args: string[]) => {
    const command = addOptions(makeCommand("c", "s"), options);
    command.parse(args, { from: "user" });
    return withDefaults(givenValues(command, options), options)["no-suspend"];
  };
  assert.equal(parse(["--no-suspend"]), true);
  assert.equal(parse([]), undefined);
});
