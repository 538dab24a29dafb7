/** Mail over TLS: by a server with a good certificate, and never a word to one with a bad one. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { sendMail } from "../../../controller/messages/mail.ts";
import { readSmtp } from "../../../controller/messages/smtp.ts";
import { Failure } from "../../../os/failure.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";

interface Pair {
  key: Buffer;
  cert: Buffer;
}

/** Makes keys and certificates in a directory. */
class Authority {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  at(name: string): string {
    return join(this.#directory, name);
  }

  /** @param name of a server, with a certificate signed `by` another; absent: of an authority */
  async make(file: string, name?: string, by = ""): Promise<Pair> {
    const argv = [
      "openssl",
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
    ];
    const signed = ["-CA", this.at(`${by}.pem`), "-CAkey", this.at(`${by}.key`), "-days", "2"];
    const extensions =
      name === undefined
        ? ["-addext", "keyUsage=critical,keyCertSign"]
        : [...signed, "-addext", "basicConstraints=critical,CA:FALSE", "-addext", `subjectAltName=${name}`];
    const files = ["-keyout", this.at(`${file}.key`), "-out", this.at(`${file}.pem`)];
    await run([...argv, "-subj", `/CN=${file}`, ...extensions, ...files], {
      timeoutSeconds: patienceSeconds,
    });
    return this.#read(file);
  }

  /** Signs one again, so that it ended yesterday. */
  async end(file: string, name: string, by: string): Promise<Pair> {
    const patience = { timeoutSeconds: patienceSeconds };
    const asked = [
      "-key",
      this.at(`${file}.key`),
      "-subj",
      `/CN=${file}`,
      "-addext",
      `subjectAltName=${name}`,
    ];
    await run(["openssl", "req", "-new", ...asked, "-out", this.at("asked")], patience);
    const signed = ["-CA", this.at(`${by}.pem`), "-CAkey", this.at(`${by}.key`), "-set_serial", "7"];
    const argv = ["openssl", "x509", "-req", "-in", this.at("asked"), ...signed, "-copy_extensions", "copy"];
    await run([...argv, "-days", "-1", "-out", this.at(`${file}.pem`)], patience);
    return this.#read(file);
  }

  #read(file: string): Pair {
    return { key: readFileSync(this.at(`${file}.key`)), cert: readFileSync(this.at(`${file}.pem`)) };
  }
}

const here = "DNS:localhost,IP:127.0.0.1";

describe("mail over TLS", () => {
  const resources = new AsyncDisposableStack();
  let authority: Authority;
  const pairs: Record<string, Pair> = {};
  before(async () => {
    authority = new Authority(resources.use(await temporaryDirectory("croft-test-mail-")).path);
    await authority.make("authority");
    await authority.make("another");
    pairs["good"] = await authority.make("good", here, "authority");
    pairs["stranger"] = await authority.make("stranger", here, "another");
    pairs["elsewhere"] = await authority.make("elsewhere", "DNS:mail.example.org", "authority");
    await authority.make("expired", here, "authority");
    pairs["expired"] = await authority.end("expired", here, "authority");
  });
  after(() => resources.disposeAsync());

  /** Sends one to a server with a certificate; what came of it, and what the server heard. */
  async function send(
    certificate: string,
    scheme: "smtp" | "smtps",
    more: SMTPServerOptions = {},
    tls?: "possible",
  ) {
    const heard: string[] = [];
    const server = new SMTPServer({
      ...{
        ...pairs[certificate],
        secure: scheme === "smtps",
        authMethods: ["PLAIN"],
        logger: false,
        ...more,
      },
      onAuth: ({ username, password }, session, done) => {
        heard.push(`${username}:${password}${session.secure ? " over TLS" : ""}`);
        done(null, { user: username });
      },
      onData: (stream, session, done) => {
        stream.resume().on("end", () => {
          heard.push(`a mail${session.secure ? " over TLS" : ""}`);
          done();
        });
      },
    });
    server.on("error", () => {}); // of those who do not like the certificate
    server.listen(0, "127.0.0.1");
    await once(server.server, "listening");
    try {
      const { port } = server.server.address() as AddressInfo;
      const read = readSmtp(
        {
          server: `${scheme}://localhost:${port}`,
          from: "farm@x.org",
          tls: tls ?? "required",
          "ca-file": authority.at("authority.pem"),
        },
        (_path, reason) => new Failure("read", reason),
      );
      const outcome = await sendMail(
        { ...read, host: "127.0.0.1", user: "croft", password: "correct-horse" },
        {
          name: "mail",
          kind: "mail",
          to: ["ann@x.org"],
          packages: ["*"],
          events: ["changed"],
          withPrivate: false,
        },
        {
          ...{ id: 1, notification: "mail", build: 1, event: "changed", state: "open", tries: 0 },
          ...{ created_at: new Date(), due_at: new Date(), ended_at: null },
          body: JSON.stringify({ subject: "broken", text: "it is" }),
        },
        new AbortController().signal,
      );
      return { ...outcome, heard };
    } finally {
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  }

  for (const scheme of ["smtps", "smtp"] as const) {
    test(`is taken by a server with a good certificate (${scheme})`, async () => {
      const { trouble, heard } = await send("good", scheme);
      assert.deepEqual([trouble, heard], [null, ["croft:correct-horse over TLS", "a mail over TLS"]]);
    });

    for (const [certificate, reason] of [
      ["stranger", /unable to (?:verify the first|get local issuer) certificate/],
      ["elsewhere", /does not match certificate's altnames/],
      ["expired", /certificate has expired/],
    ] as const)
      test(`says nothing to a server whose certificate is ${certificate}'s (${scheme})`, async () => {
        const { trouble, isFinal, heard } = await send(certificate, scheme);
        assert.match(trouble!, reason);
        assert.deepEqual([isFinal, heard], [false, []]);
      });
  }

  test("is not sent to a server without TLS, and one on this host needs none if that is possible", async () => {
    const plain = { disabledCommands: ["STARTTLS"], allowInsecureAuth: true };
    assert.deepEqual((await send("good", "smtp", plain)).heard, []);
    const plainly = await send("stranger", "smtp", { allowInsecureAuth: true }, "possible");
    assert.deepEqual([plainly.trouble, plainly.heard], [null, ["croft:correct-horse", "a mail"]]);
  });

  test("a file without certificates is none of an authority", () => {
    const file = authority.at("good.key");
    assert.throws(
      () =>
        readSmtp(
          { server: "smtps://x.org", from: "a@x.org", "ca-file": file },
          (path, reason) => new Failure(path.join("."), reason),
        ),
      /smtp\.ca-file: there is no certificate in/,
    );
  });
});
