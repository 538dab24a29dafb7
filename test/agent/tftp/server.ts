import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { anyone } from "../../../agent/tftp/requesters.ts";
import { TftpServer, type TftpEvents, type TftpServerOptions } from "../../../agent/tftp/server.ts";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { patienceMs } from "../../fixtures/patience.ts";

/** A TFTP server on a free port with directories of its own, and what it has told. */
export interface TestServer extends AsyncDisposable {
  server: TftpServer;
  port: number;
  readable: string;
  writable: string;
  /** All events so far, as `[name, ...arguments]`. */
  events: unknown[][];
  /** The arguments of the next event of a kind, or of one that has come already. */
  told<K extends keyof TftpEvents>(kind: K, timeoutMs?: number): Promise<unknown[]>;
  /** What is in the writable directory, hidden files too. */
  written(): Promise<string[]>;
}

export async function startServer(options: Partial<TftpServerOptions> = {}): Promise<TestServer> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await temporaryDirectory("croft-test-"));
  const readable = join(directory.path, "get");
  const writable = join(directory.path, "put");
  await mkdir(readable);
  await mkdir(writable);
  const server = await TftpServer.start({
    address: "127.0.0.1",
    port: 0,
    readable,
    writable,
    requesters: anyone,
    uploadMaxBytes: 1024 ** 3,
    log: silentLog(),
    ...options,
  });
  stack.defer(() => server.close());
  const resources = stack.move();
  const events: unknown[][] = [];
  for (const kind of ["request", "read", "complete", "failed", "refused"] as const)
    server.on(kind, (...args: unknown[]) => events.push([kind, ...args]));
  return {
    server,
    port: server.port,
    readable,
    writable,
    events,
    told: async (kind, timeoutMs = patienceMs) => {
      const known = () => events.find(([name]) => name === kind)?.slice(1);
      const signal = AbortSignal.timeout(timeoutMs);
      return known() ?? (await nextEvent(server, kind, signal));
    },
    written: () => readdir(writable),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function nextEvent(server: TftpServer, kind: keyof TftpEvents, signal: AbortSignal): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    server.once(kind, (...args: unknown[]) => resolve(args));
    signal.addEventListener("abort", () => reject(new Error(`no event '${kind}' in time`)));
  });
}
