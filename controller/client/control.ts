/** How commands ask the controller that runs on this host and holds a data directory (../control.ts). */
import got, { HTTPError } from "got";
import type { OptionDeclaration, OptionValues } from "../../os/command-line/options.ts";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { readControllerConfiguration } from "../configuration.ts";
import { controlPath } from "../files/control-path.ts";
import { refusalOf } from "./connection.ts";

/** Which controller is meant. */
export const placeOptions: readonly OptionDeclaration[] = [
  {
    name: "data",
    kind: "string",
    value: "DIR",
    commandLineOnly: true,
    prose: "the data directory of the controller (default: that of its configuration, or ./croft-data)",
  },
  {
    name: "config",
    kind: "string",
    value: "FILE",
    commandLineOnly: true,
    prose: "the configuration of the controller",
  },
];

/** Long enough for an answer to what takes a moment, in milliseconds. */
export const answerMs = 60_000;

/**
 * Asks the controller that holds the data directory.
 *
 * @param waitMs for the answer; absent: however long it takes.
 * @throws {Failure} if none is running, or in its words if it refuses.
 */
export async function askControl<T>(
  values: OptionValues,
  method: "GET" | "POST" | "DELETE",
  path: string,
  body?: object,
  waitMs?: number,
): Promise<T> {
  const { config, data: given } = values as { config?: string; data?: string };
  const { data } = readControllerConfiguration({
    ...(config === undefined ? {} : { config }),
    ...(given === undefined ? {} : { data: given }),
  });
  try {
    using socket = controlPath(data);
    return await got(`http://unix:${socket.path}:${path}`, {
      method,
      enableUnixSockets: true,
      ...(waitMs === undefined ? {} : { timeout: { response: waitMs } }),
      retry: { limit: 0 },
      ...(body === undefined ? {} : { json: body }),
    }).json<T>();
  } catch (error) {
    if (error instanceof HTTPError) throw refusalOf(error, `ask the controller of '${data}'`);
    const isGone = isSystemError(error, "ENOENT") || isSystemError(error, "ECONNREFUSED");
    throw new Failure(
      `reach the controller of '${data}'`,
      isGone ? "none is running there" : reasonOf(error),
      {
        cause: error,
        hints: ["Its data directory is named with --data, or by its configuration with --config."],
      },
    );
  }
}
