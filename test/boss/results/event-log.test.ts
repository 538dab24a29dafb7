import assert from "node:assert/strict";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mock, test } from "node:test";
import { Matrix } from "../../../boss/matrix/matrix.ts";
import { TrafficLog } from "../../../boss/hosts/traffic-log.ts";
import { EventLog } from "../../../boss/results/event-log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

test("logs are their user's alone, in a directory that is open and with umask 0; so is one that was open", async () => {
  await using directory = await temporaryDirectory("croft-test-events-");
  chmodSync(directory.path, 0o755);
  const at = (name: string) => join(directory.path, name);
  writeFileSync(at("worker-old.log"), "old\n");
  chmodSync(at("worker-old.log"), 0o644);
  const former = process.umask(0);
  try {
    for (const name of ["old", "new"]) {
      using log = new TrafficLog(directory.path, name);
      log.sent('{"settings":{"key":"secret"}}');
    }
    new EventLog(directory.path, new Matrix([], []))[Symbol.dispose]();
  } finally {
    process.umask(former);
  }
  for (const name of ["worker-old.log", "worker-new.log", ".croft.log"])
    assert.equal(statSync(at(name)).mode & 0o777, 0o600, name);
});

const host = (name: string) => ({ name, destination: name, workDirectory: "~" });

test("each minute a STATUS line tells what every worker has done and was given, and the total", async () => {
  await using directory = await temporaryDirectory("croft-test-events-");
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    const targets = ["one", "two", "three"].map((name) => ({ name, arch: "sandbox" }));
    const commits = ["a", "b"].map((digit) => ({ hash: digit.repeat(40), subject: digit }));
    const log = new EventLog(directory.path, new Matrix(targets, commits));
    const { observer } = log;
    for (const name of ["alpha", "beta"]) observer.started!(host(name), 4, 4);
    for (const target of [0, 1, 2]) observer.given!(host("alpha"), target);
    for (const commit of [0, 1]) observer.result!(host("alpha"), 0, commit, undefined as never);
    observer.complete!(host("alpha"), 0);
    mock.timers.tick(59_999);
    const path = join(directory.path, ".croft.log");
    assert.doesNotMatch(readFileSync(path, "utf8"), /STATUS/);
    mock.timers.tick(1);
    const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
    const line = new RegExp(`^${time} STATUS alpha=1/3 beta=0/0 cpu=\\d{1,3}% total=2/6$`, "m");
    assert.match(readFileSync(path, "utf8"), line);
    observer.gaveUp!(2, "nobody could");
    log[Symbol.dispose]();
    assert.match(readFileSync(path, "utf8"), new RegExp(`^${time} GIVEN UP three: nobody could$`, "m"));
    assert.match(readFileSync(path, "utf8"), new RegExp(`${time} END\\n$`));
  } finally {
    mock.timers.reset();
  }
});
