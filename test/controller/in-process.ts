/** Controllers in the process of a test, on each of the databases. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readControllerConfiguration } from "../../controller/configuration.ts";
import { openController, type OpenController } from "../../controller/controller.ts";
import { silentLog } from "../../os/log.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { layDatabase } from "../fixtures/databases.ts";
import { noPostgres, startPostgres } from "./database/postgres.ts";

/** Each kind of database, and why it cannot be tested here, if so. */
export const databaseKinds = [
  ["embedded", false],
  ["server", noPostgres],
] as const;

/** A controller on a database of its own, with a further configuration. */
export async function openFarm(database: string, configuration = ""): Promise<OpenController> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryDirectory("croft-test-in-process-"));
  const url = database === "embedded" ? database : stack.use(await startPostgres()).url;
  if (database === "embedded") await layDatabase(join(path, "data"));
  const controller = stack.use(await openOn(path, url, configuration));
  const held = stack.move();
  return { ...controller, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** A controller on a directory and a database that are there. */
export async function openOn(directory: string, url: string, configuration = ""): Promise<OpenController> {
  const config = join(directory, "controller.yaml");
  await writeFile(config, `database: ${url}\n${configuration}`);
  return await openController(
    readControllerConfiguration({ config, data: join(directory, "data") }),
    silentLog(),
  );
}
