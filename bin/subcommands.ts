/** What there is after `croft`: each command is loaded only when it is called. */
import type { Command } from "commander";

export interface Subcommand {
  /** In the words of `croft --help`. */
  summary: string;
  /** It needs the compiled parts of packages: system calls that Node.js does not have. */
  isCompiled?: true;
  load: () => Promise<Command>;
}

/** By name. */
export const subcommands: Record<string, Subcommand> = {
  agent: {
    summary: "poll controllers for tasks and perform each in a clean virtual machine",
    isCompiled: true,
    load: async () => {
      const { agentKeyCommand } = await import("../controller/authentication/key-command.ts");
      return (await import("../agent/command.ts")).agentCommand().addCommand(agentKeyCommand());
    },
  },
  controller: {
    summary: "give agents their tasks and people their results: server, queue, dashboard",
    isCompiled: true,
    load: async () => (await import("../controller/command.ts")).controllerCommand(),
  },
  doctor: {
    summary: "check whether this host has what an agent needs",
    isCompiled: true,
    load: async () => (await import("../agent/doctor/command.ts")).doctorCommand(),
  },
  submit: {
    summary: "queue a build at a controller; wait for it, follow its log",
    load: async () => (await import("../controller/client/submit.ts")).submitCommand(),
  },
  builds: {
    summary: "list a controller's builds",
    load: async () => (await import("../controller/client/builds.ts")).buildsCommand(),
  },
  show: {
    summary: "show a build: its state and why, attempts, operations, artifacts",
    load: async () => (await import("../controller/client/show.ts")).showCommand(),
  },
  log: {
    summary: "print, search or follow the log of a build",
    load: async () => (await import("../controller/client/log.ts")).logCommand(),
  },
  artifacts: {
    summary: "list or fetch what a build has made",
    load: async () => (await import("../controller/client/artifacts.ts")).artifactsCommand(),
  },
  cancel: {
    summary: "cancel a build",
    load: async () => (await import("../controller/client/builds.ts")).cancelCommand(),
  },
  rebuild: {
    summary: "queue a build again",
    load: async () => (await import("../controller/client/builds.ts")).rebuildCommand(),
  },
  pin: {
    summary: "keep a build, whatever its age",
    load: async () => (await import("../controller/client/builds.ts")).pinCommand(),
  },
  status: {
    summary: "show what the farm does: agents, targets, what is being built",
    load: async () => (await import("../controller/client/fleet.ts")).statusCommand(),
  },
  watch: {
    summary: "show the farm in the terminal as it changes",
    load: async () => (await import("../controller/client/watch-farm.ts")).watchCommand(),
  },
  agents: {
    summary: "list agents: what each does, since when, with which machines",
    load: async () => (await import("../controller/client/fleet.ts")).agentsCommand(),
  },
  pause: {
    summary: "hold builds back: from an agent, those of a target, or all",
    load: async () => (await import("../controller/client/pause.ts")).pauseCommand(),
  },
  resume: {
    summary: "end a pause of an agent, a target or all",
    load: async () => (await import("../controller/client/pause.ts")).resumeCommand(),
  },
  approvals: {
    summary: "list pull requests of forks that wait for approval; approve or reject one",
    load: async () => (await import("../controller/client/approvals.ts")).approvalsCommand(),
  },
  deliveries: {
    summary: "list what was sent of builds to whom, and how that went; send one again",
    load: async () => (await import("../controller/client/deliveries.ts")).deliveriesCommand(),
  },
  login: {
    summary: "keep a token for a controller, and ask that controller from now on",
    load: async () => (await import("../controller/client/login.ts")).loginCommand(),
  },
  logout: {
    summary: "forget the token of a controller",
    load: async () => (await import("../controller/client/login.ts")).logoutCommand(),
  },
  token: {
    summary: "make, list and revoke tokens of people, at a controller of this host",
    load: async () => (await import("../controller/client/token.ts")).tokenCommand(),
  },
  secret: {
    summary: "set, list and remove secrets of builds, at a controller of this host",
    load: async () => (await import("../controller/client/secret.ts")).secretCommand(),
  },
  credential: {
    summary: "set, list and remove credentials for private repositories, at a controller of this host",
    load: async () => (await import("../controller/client/secret.ts")).credentialCommand(),
  },
  boss: {
    summary: "build a matrix of targets and commits on many hosts, by ssh",
    isCompiled: true,
    load: async () => (await import("../boss/command.ts")).bossCommand(),
  },
  machine: {
    summary:
      "make, update, copy, list, show and remove build machines; look into those that run or are suspended",
    isCompiled: true,
    load: async () => (await import("../machines/commands/command.ts")).machineCommand(),
  },
  worker: {
    summary: "build what a boss asks for over ssh",
    load: async () => (await import("../worker/remote/command.ts")).workerCommand(),
  },
  manifest: {
    summary: "look at manifests, and make them",
    load: async () => (await import("./manifest.ts")).manifestCommand(),
  },
  completion: {
    summary: "print the completion of commands and options for bash, zsh or fish",
    load: async () => (await import("./completion.ts")).completionCommand(subcommands),
  },
};
