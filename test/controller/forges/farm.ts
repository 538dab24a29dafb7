/** Controllers that forges' hooks come to. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OpenController } from "../../../controller/controller.ts";
import { startServer } from "../../../controller/server.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { openFarm } from "../in-process.ts";
import { doubles, secret } from "./payloads.ts";

export interface HookFarm extends AsyncDisposable {
  controller: OpenController;
  url: string;
}

/** One with a repository for each kind of forge, called as that; `more` is added to each, `whole` to the configuration. */
export async function openHookFarm(
  database: string,
  more: string | ((name: string) => string) = "",
  whole = "",
): Promise<HookFarm> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryDirectory("croft-test-hooks-"));
  const file = join(path, "secret");
  writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  const repositories = doubles.map(({ name }) => {
    const added = typeof more === "string" ? more : more(name);
    return `  - { name: ${name}, url: "https://x.org/acme/hello.git", forge: ${name}, source-file: false, secret-file: ${file}${added && `, ${added}`} }\n`;
  });
  const configuration = `listen: 127.0.0.1:0\nrepositories:\n${repositories.join("")}${whole}`;
  const controller = stack.use(await openFarm(database, configuration));
  const { url } = stack.use(await startServer(controller));
  const held = stack.move();
  return { controller, url, [Symbol.asyncDispose]: () => held.disposeAsync() };
}
