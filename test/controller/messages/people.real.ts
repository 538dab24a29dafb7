/** Mail and chat: people are told when a package breaks and when it is fixed, and of nothing else. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { SMTPServer } from "smtp-server";
import { until } from "../until.ts";
import { openMessageFarm, type MessageFarm } from "./farm.ts";
import { startReceiver, type ReceiverDouble } from "./receiver-double.ts";

interface Mail {
  user: string;
  from: string;
  to: string[];
  text: string;
}

/** A server that takes mail of who logs in, on loopback, and refuses the next ones as it is told. */
async function startMailServer(stack: AsyncDisposableStack) {
  const mails: Mail[] = [];
  const refusals: number[] = [];
  const server = new SMTPServer({
    ...{ authMethods: ["PLAIN"], disabledCommands: ["STARTTLS"], allowInsecureAuth: true, logger: false },
    onAuth: ({ username, password }, _session, done) =>
      password === "short" ? done(null, { user: username }) : done(new Error("who are you?")),
    onData: (stream, session, done) => {
      let text = "";
      stream.on("data", (piece: Buffer) => (text += piece.toString()));
      stream.on("end", () => {
        const code = refusals.shift();
        if (code !== undefined) return done(Object.assign(new Error("not now"), { responseCode: code }));
        const { mailFrom, rcptTo } = session.envelope;
        const from = mailFrom === false ? "" : mailFrom.address;
        mails.push({ user: String(session.user), from, to: rcptTo.map(({ address }) => address), text });
        return done();
      });
    },
  });
  server.listen(0, "127.0.0.1");
  await once(server.server, "listening");
  stack.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { port: (server.server.address() as AddressInfo).port, mails, refusals };
}

describe("people are told of packages that break", () => {
  const resources = new AsyncDisposableStack();
  let farm: MessageFarm;
  let chat: ReceiverDouble;
  let server: Awaited<ReturnType<typeof startMailServer>>;
  before(async () => {
    chat = resources.use(await startReceiver());
    server = await startMailServer(resources);
    farm = resources.use(
      await openMessageFarm(
        "embedded",
        `retries: 0
smtp: { server: "smtp://127.0.0.1:${server.port}", from: farm@x.org, user: croft, password-file: SHORT }
notifications:
  - { name: chat, kind: chat, url: "${chat.url}/chat", local: true, packages: ['*'] }
  - { name: mail, kind: mail, to: [ann@x.org, bob@x.org], packages: [hello, late] }
`,
      ),
    );
  });
  after(() => resources.disposeAsync());

  const settled = () =>
    until(
      async () => (await farm.controller.deliveries.list({ state: "open", limit: 1 })).length === 0,
      "the end",
    );
  const subjects = () => server.mails.map(({ text }) => /^Subject: (.*)\r$/m.exec(text)?.[1]);

  test("by mail and chat, once when it breaks and once when it is fixed", async () => {
    await using _sending = farm.start();
    for (const status of ["success", "error", "abort", "warning", "success"])
      await farm.build("hello", status);
    await until(async () => server.mails.length === 2 && chat.taken.length === 2, "two messages each");
    await settled();
    assert.deepEqual(subjects(), ["broken: hello for default: error", "fixed: hello for default: warning"]);
    const [mail] = server.mails;
    assert.deepEqual([mail!.user, mail!.from, mail!.to], ["croft", "farm@x.org", ["ann@x.org", "bob@x.org"]]);
    assert.match(mail!.text, /^Auto-Submitted: auto-generated\r$/im);
    assert.match(mail!.text, /https:\/\/farm\.example\/builds\/2\b/);
    const texts = chat.taken.map(({ body }) => (JSON.parse(body) as { text: string }).text);
    assert.match(texts[0]!, /^❌ broken: hello for default: error\nhttps:\/\/farm\.example\/builds\/2$/);
    assert.match(texts[1]!, /^✅ fixed: hello/);
  });

  test("also of what ended before, by a server that takes it at its second try", async () => {
    server.refusals.push(451);
    await farm.build("late", "error");
    await using _sending = farm.start();
    await until(async () => {
      await farm.controller.database.query("update croft.deliveries set due_at = now() where state = 'open'");
      farm.controller.deliveries.nudge();
      return server.mails.length === 3;
    }, "the mail");
    await settled();
    const [last] = await farm.controller.deliveries.list({ notification: "mail", limit: 1 });
    assert.deepEqual([last!.state, last!.tries], ["delivered", 2]);
  });

  test("and not of builds that end in another order, or whose package has always failed", async () => {
    await using _sending = farm.start();
    await farm.build("other", "error");
    await farm.build("other", "error");
    await until(async () => chat.taken.length === 4, "the message that it is broken");
    const { builds, sessions, results } = farm.controller;
    const usual = { version: "0", repository: "https://x.org/a.git", targets: ["*"], priority: 0 };
    const offer = {
      agent: "host",
      toolchain: "default",
      interactive: "false",
      machines: ["debian_13"],
    } as const;
    await builds.submit({ name: "other", ...usual }, null);
    const older = (await sessions.assign(offer))!.session;
    await farm.build("other", "success");
    await results.store(older, { version: "1", status: "error", operations: [] });
    await until(async () => chat.taken.length === 5, "the message that it is fixed");
    await settled();
    assert.equal(chat.taken.length, 5);
  });
});
