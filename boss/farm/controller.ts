/** A controller, as far as a matrix is built through it: its interface for people's programs (docs/controller.md). */
import { Failure, reasonOf, UsageFailure } from "../../os/failure.ts";

const requestSeconds = 60;

/** A build as a controller tells it; only what is used here. */
export interface FarmBuild {
  id: number;
  url: string;
  target: string;
  state: "queued" | "building" | "finished" | "cancelled";
  status: string | null;
}

interface FarmArtifact {
  attempt: number;
  name: string;
  sha256: string;
  url: string;
}

/** In place of the number of attempts stand the attempts. */
export interface FarmBuildDetails extends FarmBuild {
  waiting: string | null;
  attempts: { attempt: number; agent: string; machine: string; status: string | null }[];
  operations: { name: string; status: string; logUrl: string }[];
  artifacts: FarmArtifact[];
}

/** It cannot be reached, or has trouble: asking again may help. */
export class UnreachableFailure extends Failure {}

export class FarmController {
  readonly base: string;
  readonly #headers: Readonly<Record<string, string>>;

  /** @throws {UsageFailure} if the address is none. */
  constructor(url: string, token: string | undefined) {
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ""))
      throw new UsageFailure("use controller", `'${url}' is no http or https URL`);
    this.base = url.replace(/\/+$/, "");
    this.#headers = token ? { authorization: `Bearer ${token}` } : {};
  }

  async targets(): Promise<string[]> {
    const { targets } = await this.#json<{ targets: { name: string }[] }>("GET", "/api/v1/targets");
    return targets.map(({ name }) => name);
  }

  async submit(submission: object): Promise<FarmBuild[]> {
    return (await this.#json<{ builds: FarmBuild[] }>("POST", "/api/v1/builds", submission)).builds;
  }

  /** Builds of a name, the newest first; `before` a number, if it is told. */
  async list(name: string, before?: number): Promise<{ builds: FarmBuild[]; next: number | null }> {
    const query = new URLSearchParams({ name, limit: "500" });
    if (before !== undefined) query.set("before", String(before));
    return await this.#json("GET", `/api/v1/builds?${query}`);
  }

  async details(id: number): Promise<FarmBuildDetails> {
    return await this.#json("GET", `/api/v1/builds/${id}`);
  }

  async cancel(id: number): Promise<void> {
    await this.#json("POST", `/api/v1/builds/${id}/cancel`);
  }

  /** What is at an address that the controller told, up to so many bytes of its end. */
  async text(path: string, mostBytes: number): Promise<string> {
    // It may be reached by another name than the one that it knows itself by.
    const { pathname, search } = new URL(path, this.base);
    const below = pathname.slice(pathname.indexOf("/api/v1/"));
    const response = await this.#ask("GET", `${this.base}${below}${search}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    return bytes.subarray(-mostBytes).toString();
  }

  async #json<T>(method: string, path: string, body?: object): Promise<T> {
    return (await (await this.#ask(method, this.base + path, body)).json()) as T;
  }

  async #ask(method: string, url: string, body?: object): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(url, {
        method,
        redirect: "error",
        signal: AbortSignal.timeout(requestSeconds * 1000),
        headers: { ...this.#headers, ...(body && { "content-type": "application/json" }) },
        ...(body && { body: JSON.stringify(body) }),
      });
    } catch (error) {
      const reason = reasonOf((error as Error).cause ?? error);
      throw new UnreachableFailure(`reach the controller at ${this.base}`, reason, { cause: error });
    }
    if (response.ok) return response;
    const text = await response.text().catch(() => "");
    if (response.status >= 500 || response.status === 429)
      throw new UnreachableFailure(`ask the controller at ${this.base}`, `it answers ${response.status}`);
    throw refusal(this.base, response.status, text);
  }
}

/** In the controller's own words. */
function refusal(base: string, status: number, text: string): Failure {
  let said: { error?: unknown; hints?: unknown } = {};
  try {
    said = JSON.parse(text) as typeof said;
  } catch {
    // what answers is no controller of croft's, or stands before it
  }
  const reason = typeof said.error === "string" ? said.error : `it answers ${status}`;
  const [, action = `ask the controller at ${base}`, why = reason] =
    /^Cannot (.+?): (.+)$/s.exec(reason) ?? [];
  const own = Array.isArray(said.hints) ? said.hints.map(String) : [];
  const token = status === 401 ? ["Give a token with --token or $CROFT_TOKEN."] : [];
  return new UsageFailure(action, why, { hints: own.length > 0 ? own : token });
}
