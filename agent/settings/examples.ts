import type { Example } from "../../os/manual/page.ts";

/** For the end of the help, and for the manual. */
export const agentExamples: readonly Example[] = [
  { prose: "Build for one controller", command: "croft agent http://farm.example:8420/agent/task" },
  {
    prose: "Ask one controller before another; the first may interrupt tasks of the second",
    command: "croft agent --instance-max 4 0100=http://a.example/task http://b.example/task",
  },
  {
    prose: "Use a configuration file, and see what is in effect",
    command: "croft agent --config /etc/croft/agent.yaml --instance 2 --print-config",
  },
  { prose: "See which machines would be offered", command: "croft agent --dump-machines" },
  {
    prose: "Perform one task from a file, and print its result",
    command: "croft agent --fake-request task.manifest",
  },
];
