/** From what is submitted for a target to the task that an agent performs: nothing is lost on the way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  specificationFor,
  type Specification,
  type Submission,
  type Target,
} from "../../../controller/builds/specification.ts";
import { checkSpecification, taskFor } from "../../../controller/builds/tasks.ts";

const target: Target = {
  ...{ name: "linux-gcc", machine: "debian_*", toolchain: "gcc*", triplet: "x86_64-linux-gnu" },
  ...{ environment: "target-environment", configuration: "config.cc.loptions=-O2", warnings: ["^note"] },
  timeoutSeconds: 600,
};
const submission: Submission = {
  ...{ name: "hello", version: "1.0", repository: "https://x.org/hello.git#v1", targets: ["*"], priority: 3 },
};
const specification: Specification = {
  ...{ name: "hello", version: "1.0", repository: "https://x.org/hello.git#v1" },
  ...{ target: "linux-gcc", triplet: "x86_64-linux-gnu", machine: "debian_*", toolchain: "gcc*" },
  ...{ environment: "target-environment", targetConfiguration: "config.cc.loptions=-O2" },
  ...{ warnings: ["^note"], priority: 3, timeoutSeconds: 600 },
};

test("a build is made of what is submitted and what its target adds; what neither says is not there", () => {
  assert.deepEqual(specificationFor(submission, target), specification);
});

test("what is submitted goes before what the target says", () => {
  const more: Partial<Submission> = {
    ...{ machine: "debian_13", environment: "own", repositoryType: "dir" },
    ...{ configuration: "config.hello.x=y", interactive: "test me@there" },
  };
  const { configuration: packageConfiguration, ...rest } = more;
  assert.deepEqual(specificationFor({ ...submission, ...more }, target), {
    ...specification,
    ...{ ...rest, packageConfiguration },
  });
});

const nothing = {
  ...{ trust: [], requires: [], tests: [], examples: [], benchmarks: [] },
  ...{ auxiliaryMachines: {}, auxiliaryEnvironments: {} },
};

test("a task has all of it, with the machine that was chosen", () => {
  const more = { packageConfiguration: "config.hello.x='a b'", interactive: "test me@there" };
  assert.deepEqual(taskFor({ ...specification, ...more, repositoryType: "dir" }, "debian_13"), {
    ...{ name: "hello", version: "1.0", machine: "debian_13", target: "x86_64-linux-gnu", ...nothing },
    ...{
      repositoryUrl: "https://x.org/hello.git#v1",
      repositoryType: "dir",
      environment: "target-environment",
    },
    ...{
      targetConfig: ["config.cc.loptions=-O2"],
      packageConfig: ["config.hello.x='a b'"],
      warningRegex: ["^note"],
    },
    interactive: "test me@there",
  });
});

test("a task of what is submitted without further ado has nothing else in it", () => {
  const { environment: _, targetConfiguration: __, ...least } = specification;
  assert.deepEqual(taskFor({ ...least, warnings: [] }, "debian_13"), {
    ...{ name: "hello", version: "1.0", machine: "debian_13", target: "x86_64-linux-gnu", ...nothing },
    ...{ repositoryUrl: "https://x.org/hello.git#v1", repositoryType: "git" },
    ...{ targetConfig: [], packageConfig: [], warningRegex: [] },
  });
});

test("what no agent could be told is refused, with the build and the reason", () => {
  checkSpecification(specification);
  const name = "Cannot make a task of hello for target 'linux-gcc': ";
  for (const more of [{ version: "\u0001" }, { packageConfiguration: "'" }])
    assert.throws(
      () => checkSpecification({ ...specification, ...more }),
      (error: Error) => error.message.startsWith(name) && error.message.length > name.length,
      JSON.stringify(more),
    );
});
