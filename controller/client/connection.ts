/** The command-line client's requests to a controller. */
import got, { HTTPError, RequestError, type Got } from "got";
import type { Command } from "commander";
import type * as Answers from "../description/answers.ts";
import { Failure, UsageFailure, reasonOf } from "../../os/failure.ts";
import { multipartBody } from "../../os/network/multipart.ts";
import { readLogins } from "./logins.ts";
import { addOptions, givenValues, type OptionDeclaration } from "../../os/command-line/options.ts";

/** Options of every command that talks to a controller. */
const connectionOptions: readonly OptionDeclaration[] = [
  {
    name: "controller",
    kind: "string",
    value: "URL",
    commandLineOnly: true,
    prose: "the controller (default: $CROFT_CONTROLLER, or that of croft login, or http://127.0.0.1:8420)",
  },
  {
    name: "token",
    kind: "string",
    value: "TOKEN",
    commandLineOnly: true,
    prose: "shows who is asking (default: $CROFT_TOKEN, or that of croft login)",
  },
];

/** A build as the controller tells it; only what the client uses, as older controllers do not say all. */
export type BuildAnswer = Pick<
  Answers.BuildAnswer,
  | ("id" | "url" | "name" | "version" | "target" | "state" | "status")
  | ("attempts" | "aborts" | "faults" | "interrupts" | "createdAt" | "queueSeconds" | "buildSeconds")
> &
  Partial<Pick<Answers.ListedAnswer, "estimate">> & {
    /** Why it waits, if it is queued; not in lists. */
    waiting?: string | null;
  };

/** A controller to ask. */
export interface Connection {
  readonly base: string;
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body?: object): Promise<T>;
  /** Posts fields, as JSON, and a file, however large. */
  postForm<T>(
    path: string,
    fields: Readonly<Record<string, object>>,
    file: { name: string; path: string },
    onSent: (bytes: number) => void,
  ): Promise<T>;
  delete<T>(path: string): Promise<T>;
  /** A whole body, within a minute. */
  bytes(path: string): Promise<Uint8Array>;
  /** A response's body as it comes. */
  stream(path: string, headers?: Record<string, string>): AsyncIterable<Buffer>;
}

/** Adds the options of a command and those of the connection. */
export function addClientOptions(command: Command, options: readonly OptionDeclaration[]): Command {
  return addOptions(command, [...options, ...connectionOptions]);
}

/**
 * The connection that a command's options and environment name.
 *
 * @throws {UsageFailure} if the URL is none.
 */
export function connectionOf(command: Command): Connection {
  const given = givenValues(command, connectionOptions);
  const named = given["controller"] ?? process.env["CROFT_CONTROLLER"];
  const url = named ?? readLogins().controller ?? "http://127.0.0.1:8420";
  return connect(String(url), given["token"] as string | undefined);
}

/**
 * Connects to a controller; nothing is sent yet.
 *
 * @param given if absent, `$CROFT_TOKEN`, or the token of who is logged in there.
 * @throws {UsageFailure} if the URL is none.
 */
export function connect(url: string, given = process.env["CROFT_TOKEN"]): Connection {
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ""))
    throw new UsageFailure("use controller", `'${url}' is no http or https URL`);
  const base = url.replace(/\/+$/, "");
  const token = given ?? readLogins().tokens[base];
  const client: Got = got.extend({
    headers: token ? { authorization: `Bearer ${token}` } : {},
    timeout: { lookup: 10_000, connect: 10_000, response: 60_000 },
    retry: { limit: 0 },
    followRedirect: false,
  });
  const asked = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw failureOf(error, base);
    }
  };
  return {
    base,
    get: <T>(path: string) => asked(client.get(base + path).json<T>()),
    post: <T>(path: string, body?: object) =>
      asked(client.post(base + path, body === undefined ? {} : { json: body }).json<T>()),
    postForm: <T>(...what: Parameters<Connection["postForm"]>) => asked(postForm<T>(client, base, ...what)),
    delete: <T>(path: string) => asked(client.delete(base + path).json<T>()),
    bytes: (path) => asked(client.get(base + path, { timeout: { request: 60_000 } }).buffer()),
    stream: (path, headers = {}) => pieces(client, base, path, headers),
  };
}

async function postForm<T>(
  client: Got,
  base: string,
  ...[path, fields, file, onSent]: Parameters<Connection["postForm"]>
): Promise<T> {
  const values = Object.entries(fields).map(([name, value]) => ({ name, value: JSON.stringify(value) }));
  const { contentType, open } = multipartBody([...values, file]);
  const sending = client.post(base + path, { body: open(), headers: { "content-type": contentType } });
  void sending.on("uploadProgress", ({ transferred }) => onSent(transferred));
  return await sending.json<T>();
}

async function* pieces(
  client: Got,
  base: string,
  path: string,
  headers: Record<string, string>,
): AsyncGenerator<Buffer> {
  const body = client.stream(base + path, { headers });
  try {
    for await (const piece of body) yield piece as Buffer;
  } catch (error) {
    throw failureOf(error, base);
  } finally {
    body.destroy();
  }
}

/** The controller cannot be reached, went away or has trouble: asking again may help. */
export class ConnectionFailure extends Failure {}

function failureOf(error: unknown, base: string): unknown {
  if (error instanceof HTTPError) {
    const { statusCode, requestUrl } = error.response;
    const hints =
      statusCode === 401 ? ["Give a token with --token or $CROFT_TOKEN, or log in: croft login URL"] : [];
    const mayPass = statusCode >= 500 || statusCode === 429;
    return refusalOf(error, `ask ${requestUrl.origin}`, hints, mayPass ? ConnectionFailure : Failure);
  }
  if (!(error instanceof RequestError)) return error;
  return new ConnectionFailure(`reach the controller at ${base}`, reasonOf(error), {
    cause: error,
    hints: ["Is it running? Another one is named with --controller URL or $CROFT_CONTROLLER."],
  });
}

/** An answer that says why nothing was done. */
interface Refusal {
  response: { statusCode: number; body: unknown };
}

/**
 * What a controller refused, in its own words.
 *
 * @param action what was done, if those do not tell, as its answer is none of croft's.
 * @param ownHints if it has none.
 */
export function refusalOf(
  error: Refusal,
  action: string,
  ownHints: readonly string[] = [],
  Kind: typeof Failure = Failure,
): Failure {
  const { body, statusCode } = error.response;
  const { error: reason, hints = ownHints } = explanation(body);
  const [, said, why] = /^Cannot (.+?): (.+)$/s.exec(reason ?? "") ?? [];
  return new Kind(said ?? action, why ?? reason ?? `it answers ${statusCode}`, { cause: error, hints });
}

function explanation(body: unknown): { error?: string; hints?: string[] } {
  try {
    const { error, hints } = JSON.parse(String(body)) as { error?: unknown; hints?: unknown[] };
    return {
      ...(typeof error === "string" ? { error } : {}),
      ...(hints?.length ? { hints: hints.map(String) } : {}),
    };
  } catch {
    return {};
  }
}
