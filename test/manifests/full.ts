/** One of each typed manifest, with every value there is. */
import type { Bootstrap } from "../../manifests/bootstrap.ts";
import type { BootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import type { Machine, MachineHeader } from "../../manifests/machine.ts";
import type { Result } from "../../manifests/result.ts";
import type { ResultRequest } from "../../manifests/result-request.ts";
import type { Task } from "../../manifests/task.ts";
import type { TaskRequest } from "../../manifests/task-request.ts";
import type { TaskResponse } from "../../manifests/task-response.ts";

export const header: MachineHeader = {
  id: "debian_12-gcc_12-1.2",
  name: "debian_12-gcc_12",
  summary: "Debian 12 with GCC 12",
  role: "auxiliary",
  ramMinimumKiB: 1048576,
  ramMaximumKiB: 4194304,
};

export const machine: Machine = {
  ...header,
  type: "kvm",
  mac: "de:ad:be:ef:de:ad",
  options: ["-device", "virtio-net-pci,netdev=net0,mac=?", "-name", "a machine"],
  changes: "1.2\n  - newer compiler\n",
};

export const bootstrap: Bootstrap = { versions: { croft: "0.1.0", gcc: "12.2.0-rc.1" } };

export const bootstrappedMachine: BootstrappedMachine = { machine, toolchain: { id: "" }, bootstrap };

export const plainTask: Task = {
  name: "hello",
  version: "1.0.0+1",
  repositoryUrl: "https://example.org/hello.git#master@0123456789",
  repositoryType: "git",
  trust: [],
  requires: [],
  tests: [],
  examples: [],
  benchmarks: [],
  machine: "debian_12-gcc_12",
  auxiliaryMachines: {},
  target: "x86_64-linux-gnu",
  auxiliaryEnvironments: {},
  targetConfig: [],
  packageConfig: [],
  warningRegex: [],
};

export const task: Task = {
  ...plainTask,
  trust: ["yes", Array<string>(32).fill("A5").join(":")],
  requires: ["c++17", "linux ? ($x)\n"],
  tests: ["hello-tests == 1.0.0"],
  examples: ["hello-examples"],
  benchmarks: ["hello-benchmarks", ""],
  dependencyChecksum: "abc",
  auxiliaryMachines: { "": "postgresql_16", mysql: "mysql_8" },
  environment: "default",
  auxiliaryEnvironments: { "": "DATABASE=x\nUSER=y", mysql: "DATABASE=z" },
  targetConfig: ['config.cc.coptions="-O2 -g"', "'--a b'", "--option"],
  packageConfig: ["config.hello.fancy=true"],
  host: false,
  warningRegex: ["^warning: ", "[Dd]eprecated"],
  interactive: "error ssh user@example.org -p 22",
  workerChecksum: "",
};

export const taskRequest: TaskRequest = {
  agent: "build1.example.org",
  toolchainName: "default",
  toolchainVersion: "0.17.0-a.0.1234567.abc",
  interactiveMode: "both",
  interactiveLogin: "build@192.0.2.1",
  fingerprint: "0123456789abcdef".repeat(4),
  auxiliaryRamKiB: 1024,
  machines: [header, { id: "x-1", name: "x", summary: "another" }],
};

export const taskResponse: TaskResponse = {
  session: "hello/1.0.0/x86_64-linux-gnu",
  challenge: "0123456789",
  resultUrl: "https://example.org/?result&x=1",
  uploadUrls: { archive: "https://example.org/upload", "image.tar": "https://example.org/upload2" },
  agentChecksum: "1",
  task,
};

export const result: Result = {
  name: "hello",
  version: "1.0.0",
  status: "warning",
  operations: [
    { name: "configure", status: "success", log: "" },
    { name: "update", status: "warning", log: "a.cxx:1:1: warning: ‘x’\\\n\n  x\\\n ^" },
  ],
  workerChecksum: "1",
  dependencyChecksum: "2",
};

export const resultRequest: ResultRequest = {
  session: "hello/1.0.0",
  challenge: "c2lnbmF0dXJl\nc2ln==",
  agentChecksum: "1",
  result,
};
