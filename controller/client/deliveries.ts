/** `croft deliveries`: what was sent to whom of builds, how it went, and sending it again. */
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { givenValues, type OptionDeclaration } from "../../os/command-line/options.ts";
import { UsageFailure } from "../../os/failure.ts";
import { formatTable } from "../../os/text/table.ts";
import type { DeliveryAnswer, DeliveryDetailsAnswer } from "../description/answers.ts";
import { addClientOptions, connectionOf } from "./connection.ts";
import { askControl, placeOptions } from "./control.ts";
import { minute } from "./show.ts";

/** The options of `croft deliveries`. */
const deliveriesOptions: readonly OptionDeclaration[] = [
  {
    name: "notification",
    kind: "string",
    value: "NAME",
    commandLineOnly: true,
    prose: "only those to this one",
  },
  {
    name: "state",
    kind: "choice",
    choices: ["open", "delivered", "failed"],
    commandLineOnly: true,
    prose: "only those that are so",
  },
  { name: "json", kind: "flag", commandLineOnly: true, prose: "print JSON" },
  ...placeOptions,
];

/** The command, for the table of commands. */
export function deliveriesCommand(): Command {
  const command = makeCommand(
    "croft deliveries",
    "list what was sent of builds to whom; show one, send one again",
  );
  command.argument("[show|redeliver]", "what is done with one; absent: they are listed");
  command.argument("[id]", "of the one, as listed");
  return addClientOptions(command, deliveriesOptions).action(async (what?: string, id?: string) => {
    if (what !== undefined && what !== "show" && what !== "redeliver")
      throw new UsageFailure(`do '${what}' with a delivery`, "expected show or redeliver");
    if (what !== undefined && (id === undefined || !/^[1-9][0-9]{0,9}$/.test(id)))
      throw new UsageFailure(
        `${what} '${id ?? ""}'`,
        "expected the number of one, as croft deliveries lists them",
      );
    const path = what === undefined ? "" : what === "show" ? `/${id}` : `/${id}/redeliver`;
    const answer = await ask(command, what === "redeliver" ? "POST" : "GET", path);
    const json = givenValues(command, deliveriesOptions)["json"] === true;
    process.stdout.write(json ? `${JSON.stringify(answer, null, 2)}\n` : text(what, id, answer));
  });
}

/** By HTTP if a controller is named, else over the socket of the one on this host. */
async function ask(command: Command, method: "GET" | "POST", path: string): Promise<unknown> {
  const { notification, state } = givenValues(command, deliveriesOptions);
  const place = givenValues(command, placeOptions);
  const query = new URLSearchParams();
  if (path === "" && notification !== undefined) query.set("notification", String(notification));
  if (path === "" && state !== undefined) query.set("state", String(state));
  const asked = `/deliveries${path}${query.size > 0 ? `?${query.toString()}` : ""}`;
  const isNamed = "controller" in command.opts() || (process.env["CROFT_CONTROLLER"] ?? "") !== "";
  if (!isNamed || Object.keys(place).length > 0) return await askControl(place, method, asked);
  const connection = connectionOf(command);
  return method === "GET"
    ? await connection.get(`/api/v1${asked}`)
    : await connection.post(`/api/v1${asked}`);
}

function text(what: string | undefined, id: string | undefined, answer: unknown): string {
  if (what === "redeliver") return `${id}: is sent again\n`;
  if (what === "show") return whole(answer as DeliveryDetailsAnswer);
  const { deliveries } = answer as { deliveries: DeliveryAnswer[] };
  if (deliveries.length === 0) return "nothing was sent\n";
  return formatTable([
    ["ID", "TO", "BUILD", "EVENT", "STATE", "TRIES", "MADE", "LAST TRY"],
    ...deliveries.map((one) => [
      ...[String(one.id), one.notification, `#${one.build}`, one.event, one.state, String(one.tries)],
      ...[minute(one.createdAt), one.trouble ?? one.answer ?? "-"],
    ]),
  ]);
}

function whole({ id, notification, build, event, state, body, attempts }: DeliveryDetailsAnswer): string {
  const tries = attempts.map(({ at, seconds, answer, trouble }) => [
    ...[`${at.slice(0, 19).replace("T", " ")}`, `${seconds.toFixed(1)} s`, trouble ?? answer ?? ""],
  ]);
  const table = tries.length === 0 ? "" : `\n${formatTable([["TRIED", "TOOK", "ANSWER"], ...tries])}`;
  return `delivery ${id} to ${notification}: build ${build} ${event}, ${state}\n${table}\n${body}\n`;
}
