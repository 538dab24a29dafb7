/** A farm in which every page has something to show: builds in all states, submissions of several, agents, pauses, events. */
import type { OpenController } from "../../../controller/controller.ts";
import type { Delivery } from "../../../controller/messages/deliveries.ts";
import { doubles, sendHook, commitB } from "../forges/payloads.ts";
import { openHookFarm, type HookFarm } from "../forges/farm.ts";

/** What is to be seen there. */
export interface ShownFarm extends HookFarm {
  /** A build that has failed, with a log of many colours and reports. */
  failed: number;
  building: number;
  /** A fork's pull request that waits. */
  event: number;
  /** Numbers of messages: one that failed, a mail that was taken, one that is tried again. */
  messages: readonly number[];
  /** An administrator's. */
  token: string;
}

const targets = ["debian-13-amd64", "debian-12-amd64", "debian-13-arm64"];
const offer = {
  agent: "forge-1",
  toolchain: "default",
  interactive: "false",
  machines: ["debian_13", "debian_12"],
} as const;

/** Opens it. */
export async function openShownFarm(): Promise<ShownFarm> {
  const told = ["board", "mail", "chat"].map(
    (name) => `{ name: ${name}, kind: chat, url: "https://chat.example/${name}", packages: ["none"] }`,
  );
  const configured = `targets: [${targets.map((name) => `{ name: ${name} }`).join(", ")}]
notifications: [${told.join(", ")}]\n`;
  const farm = await openHookFarm("embedded", "", configured);
  try {
    const filled = await fill(farm);
    return { ...farm, ...filled };
  } catch (error) {
    await farm[Symbol.asyncDispose]();
    throw error;
  }
}

async function fill({ controller, url }: HookFarm) {
  const { builds, pauses, tokens, agents } = controller;
  const submit = async (
    name: string,
    version: string,
    commit = "a".repeat(40),
    patterns: readonly string[] = ["*"],
  ) =>
    await builds.submit(
      {
        name,
        version,
        repository: `https://git.example.org/${name}.git#main@${commit}`,
        targets: patterns,
        priority: 0,
      },
      "ann",
    );
  const statuses = [
    "success",
    "success",
    "warning",
    "success",
    "success",
    "error",
    "success",
    "warning",
    "error",
  ];
  for (const [round, commit] of ["1", "2", "3"].entries()) {
    await submit("greeter", `1.${round}`, commit.repeat(40));
    for (const status of statuses.slice(round * 3, round * 3 + 3)) await end(controller, status);
  }
  for (const status of ["success", "abort", "success", "success"]) {
    await submit("libcroft", "2.4.0+really-a-long-version-of-a-snapshot", "b".repeat(40), [targets[0]!]);
    await end(controller, status);
  }
  await submit("a-package-with-a-rather-long-name-of-its-own", "0.1", "c".repeat(40), [targets[1]!]);
  const failed = await end(controller, "error", failedLog());
  await submit("greeter", "1.3", "d".repeat(40));
  const building = (await controller.sessions.assign(offer))!.session;
  await controller.liveLogs.append(
    building.id,
    0,
    Buffer.from("\x1b[1mchecking\x1b[0m for a compiler… cc\nsrc/a.c:3: warning: unused\nlinking"),
  );
  await submit("libcroft", "2.5.0", "e".repeat(40));
  for (const [row, column] of [
    ["sandbox", 0],
    ["qemu_arm64", 0],
    ["sandbox", 1],
  ] as const)
    await builds.submit(
      {
        ...{ name: "boot-matrix-1a2b3c4d", version: "0", repository: "https://git.example.org/boot.git" },
        ...{ targets: [targets[1]!], priority: 0 },
        cell: { row, column, title: `${String(column).repeat(12)} Say it` },
      },
      "ann",
    );
  const [cancelled] = await submit("libcroft", "2.5.1", "f".repeat(40), [targets[2]!]);
  await builds.cancel(cancelled!.id);
  for (const [agent, waits] of [
    ["forge-1", false],
    ["forge-2", true],
    ["anvil", true],
  ] as const)
    agents.asked({ ...offer, agent }, agent === "anvil" ? null : "1.0.0", waits);
  controller.waiting.note({ ...offer, agent: "forge-2" });
  await pauses.pause({ kind: "target", name: targets[2]! }, "its board is being repaired", "ann");
  const fork = {
    kind: "pull-request",
    reference: "7",
    from: "eve/hello",
    subject: "Say hello to everybody",
    commit: commitB,
  } as const;
  const event = (await sendHook(url, doubles[0]!, fork)).answer.event!;
  await sendHook(url, doubles[1]!, { kind: "push", reference: "main", subject: "Say hello" });
  const messages = await sendMessages(controller, failed);
  return { failed, messages, building: building.build, event, token: await tokens.create("ann", "admin") };
}

/** Ends the next build. */
async function end(
  controller: OpenController,
  status: string,
  log = "gcc -o hello hello.c\nall is well\n",
): Promise<number> {
  const assignment = (await controller.sessions.assign(offer))!;
  const operations = [
    { name: "update", status: "success", log: log.slice(0, 2000) },
    { name: "test", status, log },
  ] as const;
  await controller.results.store(assignment.session, {
    version: "1.0",
    status,
    operations: [...operations],
  } as never);
  return assignment.build.id;
}

function failedLog(): string {
  const lines = Array.from({ length: 60 }, (_, line) => `[${line}/60] cc -c -O2 src/part-${line}.c`);
  lines[20] = "src/part-20.c:12:3: \x1b[1;35mwarning:\x1b[0m unused variable 'x'";
  lines[50] = "src/part-50.c:7:1: \x1b[1;31merror:\x1b[0m expected ';' before '}' token";
  lines[59] = "make: *** [Makefile:12: all] Error 2";
  return `${lines.join("\n")}\n`;
}

/** Writes down what was sent of a build, and how it went. */
async function sendMessages({ database, deliveries }: OpenController, build: number): Promise<number[]> {
  const made: number[] = [];
  const tried = (answer: string | null, trouble: string | null, isFinal = false) => ({
    ...{ at: new Date(), seconds: 0.21, answer, trouble, isFinal },
  });
  const letter = { subject: "broken: greeter for debian-13-amd64: error", text: "Build #9\nby ann" };
  for (const [notification, body, ...outcomes] of [
    [
      "board",
      { event: "ended", build: { id: build } },
      tried(null, "certificate has expired"),
      tried("503", "the answer was 503", true),
    ],
    ["mail", letter, tried("250", null)],
    ["chat", { text: "\u274c broken: greeter" }, tried("429", "the answer was 429")],
  ] as const) {
    const [row] = await database.query<Delivery>(
      `insert into croft.deliveries (notification, build, event, body, state) values ($1, $2, 'changed', $3, 'open') returning *`,
      [notification, build, JSON.stringify(body)],
    );
    for (const [at, outcome] of outcomes.entries()) {
      await deliveries.settle(row!, { ...outcome, at: new Date(Date.now() + at) });
      row!.tries++;
    }
    made.push(row!.id);
  }
  return made;
}
