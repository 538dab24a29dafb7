/** How commands ask the controller that runs on this host and holds a data directory (../control.ts). */
import { once } from "node:events";
import { resolve } from "node:path";
import got, { HTTPError } from "got";
import type { OptionValues } from "../../os/command-line/options.ts";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { ControllerConfiguration } from "../configuration.ts";
import { controlPath, defaultData } from "../files/control-path.ts";
import { refusalOf } from "./connection.ts";

export { placeOptions } from "./place-options.ts";

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
  return await atControl(values, (base) =>
    got(base + path, {
      method,
      enableUnixSockets: true,
      ...(waitMs === undefined ? {} : { timeout: { response: waitMs } }),
      retry: { limit: 0 },
      ...(body === undefined ? {} : { json: body }),
    }).json<T>(),
  );
}

/**
 * Has the controller that holds the data directory send something large.
 *
 * @throws {Failure} as {@link askControl}, or what `take` throws.
 */
export async function streamFromControl<T>(
  values: OptionValues,
  path: string,
  take: (content: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  return await atControl(values, async (base) => {
    const stream = got.stream(base + path, {
      ...{ method: "POST", json: {}, enableUnixSockets: true, throwHttpErrors: false, retry: { limit: 0 } },
    });
    try {
      const [{ statusCode }] = (await once(stream, "response")) as [{ statusCode: number }];
      if (statusCode === 200) return await take(stream);
      const pieces: Buffer[] = [];
      for await (const piece of stream) pieces.push(piece as Buffer);
      const body = Buffer.concat(pieces);
      throw refusalOf({ response: { statusCode, body } }, "ask the controller");
    } finally {
      stream.destroy();
    }
  });
}

async function atControl<T>(values: OptionValues, ask: (base: string) => Promise<T>): Promise<T> {
  const data = await dataDirectoryOf(values);
  try {
    using socket = controlPath(data);
    return await ask(`http://unix:${socket.path}:`);
  } catch (error) {
    if (error instanceof Failure) throw error;
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

/** The data directory that is meant. Without a configuration none is read: what reads it takes longer to load than the rest. */
async function dataDirectoryOf(values: OptionValues): Promise<string> {
  const { config, data } = values as { config?: string; data?: string };
  return config === undefined ? resolve(data ?? defaultData) : (await configurationOf(values)).data;
}

/** The configuration that is meant. */
export async function configurationOf(values: OptionValues): Promise<ControllerConfiguration> {
  const { readControllerConfiguration } = await import("../configuration.ts");
  const { config, data } = values as { config?: string; data?: string };
  return readControllerConfiguration(withoutUndefined({ config, data }));
}
