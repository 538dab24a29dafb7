/** A PostgreSQL server of a test's own, where the programs are installed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, statSync } from "node:fs";
import { chmod, chown, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../../os/run.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { copyMade, digestOf } from "../../fixtures/made.ts";
import { freePort } from "../../fixtures/ports.ts";

/** A running server; disposing of it ends it and removes its data. */
export interface PostgresServer extends AsyncDisposable {
  readonly url: string;
  /** Ends it at once, as if its host had died, but for the disk. */
  stop(): Promise<void>;
  /** Starts it again. */
  start(): Promise<void>;
}

const programs = [...globSync("/usr/lib/postgresql/*/bin"), "/usr/local/bin", "/usr/bin"].find(
  (directory) => existsSync(join(directory, "initdb")) && existsSync(join(directory, "postgres")),
);

/** Why there is no server to test with, if so. */
export const noPostgres = programs === undefined ? "PostgreSQL is not installed" : false;

const nobody = 65_534;

/** Starts a server on a free port; it refuses to run as root, so root lends it another user. */
export async function startPostgres(): Promise<PostgresServer> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryDirectory("croft-test-postgres-"));
  const data = join(path, "data");
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await chmod(path, 0o755);
  const become = isRoot ? [`--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"] : [];
  const user = ["setpriv", ...become, "--pdeathsig", "QUIT", "--"];
  const program = (name: string) => join(programs!, name);
  await copyMade("server", digestOf(programs!, `${statSync(program("initdb")).mtimeMs} ${isRoot}`), {
    to: data,
    make: async () => {
      await mkdir(data, { mode: 0o700 });
      if (isRoot) await chown(data, nobody, nobody);
      const initialize = [program("initdb"), "-D", data, "-U", "croft", "-A", "trust", "--no-sync"];
      await run([...user, ...initialize], { timeoutSeconds: 300 });
    },
  });
  const port = await freePort();
  const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"];
  const serve = [
    program("postgres"),
    "-D",
    data,
    "-p",
    String(port),
    ...settings.flatMap((one) => ["-c", one]),
  ];
  let stop: () => Promise<void> = async () => {};
  const start = async () => {
    stop = await serving([...user, ...serve]);
  };
  stack.defer(() => stop());
  await start();
  const held = stack.move();
  return {
    ...{ url: `postgres://croft@127.0.0.1:${port}/postgres`, start, stop: () => stop() },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** Starts a server and waits until it takes connections; what is returned ends it. It ends with this process, too. */
async function serving([command, ...args]: string[]): Promise<() => Promise<void>> {
  const server = spawn(command!, args, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(server, "exit");
  for await (const piece of server.stderr) if (String(piece).includes("ready to accept")) break;
  return async () => {
    server.kill("SIGQUIT");
    await ended;
  };
}
