/** Controllers that tell people and programs of builds. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OpenController } from "../../../controller/controller.ts";
import { startMessenger } from "../../../controller/messages/messenger.ts";
import { startServer } from "../../../controller/server.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { endNext } from "../built.ts";
import { openFarm } from "../in-process.ts";
import { webhookSecret } from "./receiver-double.ts";

export interface MessageFarm extends AsyncDisposable {
  controller: OpenController;
  url: string;
  /** Starts what tells people; at most once at a time. */
  start(answerSeconds?: number): AsyncDisposable;
  /** Builds a package, and ends that with a status; its number. */
  build(name: string, status: string): Promise<number>;
}

/** Opens one; in the configuration, `SECRET` stands for a file with the secret of the webhooks, `SHORT` for one with `short`. */
export async function openMessageFarm(database: string, configuration: string): Promise<MessageFarm> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryDirectory("croft-test-messages-"));
  const file = (name: string, text: string) => {
    writeFileSync(join(path, name), `${text}\n`, { mode: 0o600 });
    return join(path, name);
  };
  const filled = configuration
    .replaceAll("SECRET", file("secret", webhookSecret))
    .replaceAll("SHORT", file("password", "short"));
  const controller = stack.use(await openFarm(database, `listen: 127.0.0.1:0\n${filled}`));
  const { url } = stack.use(await startServer(controller));
  const held = stack.move();
  return {
    ...{ controller, url },
    start: (answerSeconds = 60) => startMessenger(controller, "https://farm.example", { answerSeconds }),
    build: async (name, status) => {
      const usual = { version: "0", repository: "https://x.org/a.git", targets: ["*"], priority: 0 };
      await controller.builds.submit({ name, ...usual }, null);
      return await endNext(controller, status);
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
