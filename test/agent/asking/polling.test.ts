import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { mock, test } from "node:test";
import { openSigner } from "../../../agent/wire/signing.ts";
import { packageVersion } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { makeKey } from "../../controller/authentication/proof.ts";
import { Unreachable, type Answer } from "../../../agent/wire/answers.ts";
import { HttpClient } from "../../../agent/wire/http.ts";
import { fetchSecrets } from "../../../agent/performing/handing/secrets.ts";
import { Polling } from "../../../agent/asking/polling.ts";
import { Failure } from "../../../os/failure.ts";
import { silentLog } from "../../../os/log.ts";
import { formatTaskRequest, parseTaskRequest, type TaskRequest } from "../../../manifests/task-request.ts";
import { taskRequest } from "../../../agent/asking/offer.ts";
import { makeSettings } from "../settings/make-settings.ts";
import { FakeController } from "../fake-controller.ts";

const request: TaskRequest = {
  agent: "host",
  toolchainName: "default",
  toolchainVersion: "1.0.0",
  machines: [{ id: "m-1", name: "m", summary: "a machine" }],
};

const never = new AbortController().signal;

/** A controller that fails after so many seconds; when it is asked, in seconds of a clock of our own. */
async function timesAsked(failsAfterSeconds: number, untilSeconds: number): Promise<number[]> {
  let now = 0;
  const times: number[] = [];
  const client = {
    postManifest: () => {
      times.push(now / 1000);
      now += failsAfterSeconds * 1000;
      return Promise.reject(new Unreachable("ask", "it is down"));
    },
  };
  const controllers = [{ url: "http://controller.example/task", priority: 0 }];
  const polling = new Polling({
    ...{
      controllers,
      client,
      signer: undefined,
      requestTimeoutSeconds: 60,
      requestRetries: 4,
      log: silentLog(),
    },
    ...{ now: () => now, random: () => 1 },
  });
  for (; now < untilSeconds * 1000; now += 1000)
    assert.equal(await polling.ask(() => request, new AbortController().signal), undefined);
  return times;
}

test("a controller that refuses at once is asked again after 1, 2, 4… seconds", async () => {
  assert.deepEqual(await timesAsked(0, 20), [0, 1, 3, 7, 15]);
});

test("one that keeps the host waiting is left alone for minutes: its machines are locked meanwhile", async () => {
  assert.deepEqual(await timesAsked(60, 1200), [0, 120, 300, 600, 1140]);
});

test("a request for a task is retried once, however often others are: machines are locked meanwhile", async () => {
  await using controller = await FakeController.start();
  controller.answer = () => ({ status: 503 });
  const [requestTimeoutSeconds, requestRetries] = [300, 4];
  const client = new HttpClient({
    agent: "test",
    connectTimeoutSeconds: 30,
    requestTimeoutSeconds,
    requestRetries,
  });
  const polling = new Polling({
    controllers: [{ url: controller.url("/task"), priority: 0 }],
    ...{ client, signer: undefined, requestTimeoutSeconds, requestRetries, log: silentLog() },
  });
  assert.equal(await polling.ask(() => request, new AbortController().signal), undefined);
  assert.equal(controller.received.length, 2);
});

test("each attempt of a signed request has a proof of its own: the controller would take a second one for a replay", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const file = join(directory.path, "agent.key");
  writeFileSync(file, makeKey().privatePem);
  await using controller = await FakeController.start();
  controller.answer = () => ({ status: 503 });
  const limits = { requestTimeoutSeconds: 300, requestRetries: 4 };
  const polling = new Polling({
    controllers: [{ url: controller.url("/task"), priority: 0 }],
    client: new HttpClient({ agent: "test", connectTimeoutSeconds: 30, ...limits }),
    ...{ signer: await openSigner(file), ...limits, log: silentLog() },
  });
  assert.equal(await polling.ask(() => request, new AbortController().signal), undefined);
  const proofs = controller.received.map(({ headers }) => String(headers["croft-proof"]));
  for (const { headers } of controller.received)
    assert.equal(
      headers["croft-agent"],
      `${packageVersion}; alive, wake, timeout, variables, trees, proof, secrets`,
    );
  assert.equal(proofs.length, 2);
  assert.equal(new Set(proofs.map((proof) => proof.split(" ")[1])).size, 2, proofs.join("\n"));
});

test("an agent whose machines have another worker than croft's does not ask for builds with secrets, and refuses one", async () => {
  const asked: Record<string, string>[] = [];
  const client = {
    postManifest: async (
      url: string,
      _body: unknown,
      _limits: unknown,
      headers?: (url: string) => Promise<object>,
    ) => {
      asked.push({ ...(await headers?.(url)) });
      throw new Unreachable("ask", "it is down");
    },
  };
  const signer = { fingerprint: "f", sign: async () => "s", prove: async () => "p" };
  const polling = new Polling({
    controllers: [{ url: "http://controller.example/task", priority: 0 }],
    ...{ client, signer, takesSecrets: false, log: silentLog() },
    ...{ requestTimeoutSeconds: 60, requestRetries: 4 },
  });
  assert.equal(await polling.ask(() => request, never), undefined);
  assert.deepEqual(asked, [
    { "croft-agent": `${packageVersion}; alive, wake, timeout, proof`, "croft-proof": "p" },
  ]);
  const given = { secretsUrl: "https://controller.example/agent/secrets/s" };
  await assert.rejects(
    fetchSecrets({ client, signer, workerVersion: undefined }, given, never),
    /^Failure: Cannot fetch the secrets of https:\/\/controller\.example\/: the worker of the machine is not croft's/,
  );
  assert.equal(asked.length, 1);
});

test("no controller gets a proof signed as its challenge", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const file = join(directory.path, "agent.key");
  writeFileSync(file, makeKey().privatePem);
  const signer = await openSigner(file);
  await assert.rejects(
    signer.sign(`croft-proof ${"0".repeat(64)}`),
    /would pass for a proof to another controller/,
  );
  await signer.sign("croft");
});

const noTask = ": 1\nsession:\n";
const resultUrl = "result-url: http://c0.example/r\n";
const taskResponse = (header = resultUrl, task = "") =>
  `: 1\nsession: s\n${header}:\nname: hello\nversion: 1.0\nrepository-url: https://example.org/h.git#v1\n` +
  `machine: m\ntarget: x86_64-linux-gnu\n${task}`;

/** Controllers of these priorities, which answer one after another with what a function makes; who was asked. */
function polling(
  priorities: readonly number[],
  answer: (index: number, signal: AbortSignal | undefined) => Promise<Answer> | Answer | string,
  more: Partial<ConstructorParameters<typeof Polling>[0]> = {},
) {
  const controllers = priorities.map((priority, index) => ({
    url: `http://c${index}.example/task`,
    priority,
  }));
  const asked: number[] = [];
  const failed: string[] = [];
  const answered: string[] = [];
  const client = {
    postManifest: async (url: string, _body: Uint8Array, limits: { signal?: AbortSignal } = {}) => {
      const index = controllers.findIndex((controller) => controller.url === url);
      asked.push(index);
      const found = await answer(index, limits.signal);
      return typeof found === "string" ? { status: 200, headers: {}, body: Buffer.from(found) } : found;
    },
  };
  const metrics = {
    pollAnswered: (url: string) => void answered.push(url),
    pollFailed: (_url: string, reason: string) => void failed.push(reason),
  };
  const limits = { requestTimeoutSeconds: 60, requestRetries: 4 };
  const parts = {
    ...{ controllers, client, signer: undefined, log: silentLog(), metrics },
    ...limits,
    ...more,
  };
  return { asked, failed, answered, polling: new Polling(parts) };
}

test("controllers are asked by priority, without regard to F; equal ones in random order, until one has a task", async () => {
  const random = [0.9, 0.1, 0.5, 0.3];
  const on = polling([5, 10_007, 5, 9], (index) => (index === 0 ? taskResponse() : noTask), {
    random: () => random.shift()!,
  });
  const received = await on.polling.ask(() => request, never);
  assert.deepEqual(on.asked, [3, 1, 2, 0]);
  assert.equal(received?.controller.url, "http://c0.example/task");
  assert.deepEqual([received.response.session, received.task.name], ["s", "hello"]);
  assert.deepEqual(Object.keys(received).sort(), ["controller", "response", "task", "uploadForm"]);
  assert.equal(on.answered.length, 4);
});

test("artifacts go up as files to a controller that says so, else as archives", async () => {
  for (const [header, form] of [
    ["files", "files"],
    ["tar", "archives"],
    [undefined, "archives"],
  ] as const) {
    const headers = header === undefined ? {} : { "croft-upload": header };
    const on = polling([1], () => ({ status: 200, headers, body: Buffer.from(taskResponse()) }));
    assert.equal((await on.polling.ask(() => request, never))?.uploadForm, form, header);
  }
});

test("a controller that nothing is offered to is not asked", async () => {
  const on = polling([1, 2], () => noTask);
  await on.polling.ask(({ priority }) => (priority === 1 ? request : undefined), never);
  assert.deepEqual(on.asked, [0]);
});

const key = { ...request, fingerprint: "f".repeat(64) };
for (const [what, response, reason, to] of [
  ["no manifest", "nonsense\n", /^http:\/\/c0\.example\/task:1:9: /],
  [
    "a challenge for an agent without a key",
    taskResponse(`challenge: abc\n${resultUrl}`),
    /it has a challenge, but there is no key/,
  ],
  [
    "a repository of the host",
    taskResponse().replace("https://example.org/h.git#v1", "/srv/h.git#v1"),
    /is local$/,
  ],
  [
    "a result URL of another kind",
    taskResponse("result-url: file:///etc/x\n"),
    /'file:\/\/\/etc\/x' is no http or https/,
  ],
  [
    "an upload URL of another kind",
    taskResponse(`${resultUrl}artifact-upload-url: ftp://x/\n`),
    /is no http or https URL$/,
  ],
  [
    "a machine that was not offered",
    taskResponse().replace("machine: m", "machine: n"),
    /'n' was not offered$/,
  ],
  [
    "an interactive task, to one that takes none",
    taskResponse(resultUrl, "interactive: test\n"),
    /it is interactive$/,
  ],
  [
    ...([
      "another task, to one that takes interactive ones only",
      taskResponse(),
      /it is not interactive$/,
    ] as const),
    { ...request, interactiveMode: "true", interactiveLogin: "host:5900" },
  ],
] as [string, string, RegExp, TaskRequest?][])
  test(`a controller that answers with ${what} is passed over, and the next one asked`, async () => {
    const on = polling([2, 1], (index) => (index === 0 ? response : noTask));
    assert.equal(await on.polling.ask(() => to ?? request, never), undefined);
    assert.deepEqual(on.asked, [0, 1]);
    assert.match(on.failed.join(), reason);
    assert.equal(on.failed.length, 1);
    assert.deepEqual(on.answered, ["http://c1.example/task"]);
    await on.polling.ask(() => to ?? request, never);
    const again = what === "no manifest" ? [0, 1] : [1];
    assert.deepEqual(on.asked.slice(2), again, "whose task was refused is left alone for a while");
  });

test("a task that fits what the agent takes is taken, with the answer to its challenge and the URL of its log", async () => {
  const signed: string[] = [];
  const signer = {
    fingerprint: key.fingerprint,
    sign: (challenge: string) => Promise.resolve(void signed.push(challenge)).then(() => "c2lnbmVk"),
    prove: () => Promise.reject(new Error("not expected")),
  };
  for (const mode of ["true", "both"] as const) {
    const body = Buffer.from(taskResponse(`challenge: abc\n${resultUrl}`, "interactive: test\n"));
    for (const [header, logUrl] of [
      ["https://c0.example/log", "https://c0.example/log"],
      ["file:///etc/passwd", undefined],
      [["http://a.example/", "http://b.example/"], undefined],
    ] as const) {
      const headers = { "croft-log-url": typeof header === "string" ? header : [...header] };
      const on = polling([1], () => ({ status: 200, headers, body }), { signer });
      const received = await on.polling.ask(() => ({ ...key, interactiveMode: mode }), never);
      assert.deepEqual([received?.answer, received?.logUrl], ["c2lnbmVk", logUrl]);
    }
  }
  assert.deepEqual(new Set(signed), new Set(["abc"]));
});

test("what a controller says of a task's time and of suspending its machine is taken if it is understood", async () => {
  for (const [headers, expected] of [
    [{ "croft-timeout": "90", "croft-suspend": "no" }, [90, false]],
    [{ "croft-timeout": "0", "croft-suspend": "maybe" }, [undefined, undefined]],
    [{ "croft-timeout": "1e3" }, [undefined, undefined]],
    [{}, [undefined, undefined]],
  ] as const) {
    const body = Buffer.from(taskResponse(resultUrl));
    const on = polling([1], () => ({ status: 200, headers, body }));
    const received = await on.polling.ask(() => request, never);
    assert.deepEqual([received?.timeoutSeconds, received?.mayHold], expected);
  }
});

test("a challenge that cannot be signed is a reason to refuse the task, and not to lose its result", async () => {
  const signer = {
    fingerprint: key.fingerprint,
    sign: () => Promise.reject(new Failure("sign", "the card was taken out")),
    prove: () => Promise.reject(new Error("not expected")),
  };
  const on = polling([1], () => taskResponse(`challenge: abc\n${resultUrl}`), { signer });
  assert.equal(await on.polling.ask(() => key, never), undefined);
  assert.match(on.failed.join(), /the card was taken out/);
});

test("a request that cannot be signed is not sent, and the next controller asked; a bug is thrown", async () => {
  await using controller = await FakeController.start();
  const limits = { requestTimeoutSeconds: 300, requestRetries: 0 };
  const parts = {
    controllers: [{ url: controller.url("/task"), priority: 0 }],
    client: new HttpClient({ agent: "test", connectTimeoutSeconds: 30, ...limits }),
    ...{ ...limits, log: silentLog() },
  };
  const signerFailing = (error: Error) => ({
    ...{
      fingerprint: key.fingerprint,
      sign: () => Promise.reject(error),
      prove: () => Promise.reject(error),
    },
  });
  const failed: string[] = [];
  const metrics = {
    pollAnswered: () => {},
    pollFailed: (_url: string, reason: string) => void failed.push(reason),
  };
  const signer = signerFailing(new Failure("sign", "no card"));
  assert.equal(await new Polling({ ...parts, signer, metrics }).ask(() => key, never), undefined);
  assert.match(failed.join(), /^Cannot sign the task request to http:\/\/127.*: .*no card/);
  assert.equal(controller.received.length, 0);
  const bug = polling([1], () => Promise.reject(new TypeError("x is not a function")));
  await assert.rejects(
    bug.polling.ask(() => request, never),
    TypeError,
  );
});

test("once a controller has answered, its next failure is the first again", async () => {
  let now = 0;
  let down = true;
  const answer = () => (down ? Promise.reject(new Unreachable("ask", "it is down")) : noTask);
  const on = polling([1], answer, { now: () => now, random: () => 1 });
  const askAt = async (seconds: number) => {
    now = seconds * 1000;
    await on.polling.ask(() => request, never);
    return on.asked.length;
  };
  assert.equal(on.polling.retrySeconds, Infinity);
  assert.deepEqual([await askAt(0), await askAt(0.9), await askAt(1)], [1, 1, 2], "after 1 s");
  assert.equal(on.polling.retrySeconds, 2, "the agent sleeps no longer");
  assert.deepEqual([await askAt(2.9), await askAt(3)], [2, 3], "after 2 s more");
  down = false;
  assert.equal(await askAt(7), 4);
  down = true;
  assert.deepEqual([await askAt(8), await askAt(8.9), await askAt(9)], [5, 5, 6], "after 1 s");
});

test("a controller that is being asked when the agent is to end has three seconds left to give a task", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    for (const isInTime of [true, false]) {
      const stop = new AbortController();
      const answer = Promise.withResolvers<string>();
      const on = polling([2, 1], (_index, signal) => {
        signal!.addEventListener("abort", () => answer.reject(signal!.reason as Error), { once: true });
        return answer.promise.then((text): Answer => ({ status: 200, headers: {}, body: Buffer.from(text) }));
      });
      const received = on.polling.ask(() => request, stop.signal);
      stop.abort(new Error("asked to end"));
      mock.timers.tick(2999);
      if (isInTime) answer.resolve(taskResponse());
      else mock.timers.tick(1);
      if (isInTime) assert.equal((await received)?.response.session, "s");
      else await assert.rejects(received, /asked to end/);
      assert.deepEqual(on.asked, [0]);
    }
  } finally {
    mock.timers.reset();
  }
});

/** An agent that is given such a task, and what it answers; time goes on as told. */
async function refusing(
  lines: string,
  headers: Record<string, string> = {},
  repository = "https://x.org/h.git#v1",
) {
  const controller = await FakeController.start();
  const given = `name: hello\nversion: 1.0\nrepository-url: ${repository}\nmachine: m\ntarget: x86_64-linux-gnu`;
  controller.answer = () => ({
    headers,
    body: `: 1\nsession: s\nresult-url: ${controller.url("/result")}\n:\n${given}\n${lines}\n`,
  });
  const limits = { requestTimeoutSeconds: 60, requestRetries: 0 };
  let now = 0;
  const polling = new Polling({
    controllers: [{ url: controller.url("/task"), priority: 0 }],
    client: new HttpClient({ agent: "test", connectTimeoutSeconds: 30, ...limits }),
    ...{ signer: undefined, ...limits, log: silentLog(), now: () => now },
  });
  const answers: [session: string, reason: string, goesElsewhere: boolean][] = [];
  const ask = () =>
    polling.ask(() => request, new AbortController().signal, {
      reasonFor: (task) => task.tests[0],
      answer: async ({ response }, { reason, goesElsewhere }) =>
        void answers.push([response.session, reason, goesElsewhere]),
    });
  const end = () => controller[Symbol.asyncDispose]();
  return { ask, answers, pass: (ms: number) => (now += ms), [Symbol.asyncDispose]: end };
}

const askedFor: Record<string, [lines: string, reason: RegExp]> = {
  "an auxiliary machine": ["auxiliary-machine: postgresql_16", /needs auxiliary machines \(postgresql_16\)/],
  "a named auxiliary machine": ["auxiliary-machine-db: mysql_8", /needs auxiliary machines \(mysql_8\)/],
  "an environment for one": ["auxiliary-environment: A=b", /an environment for auxiliary machines/],
  "a person": ["interactive: none", /it is interactive/],
  "what this host cannot do": ["tests: hello-tests", /hello-tests/],
};
for (const [what, [lines, expected]] of Object.entries(askedFor))
  test(`a task that asks for ${what} is refused and answered with the reason, and the next one is asked for later`, async () => {
    await using on = await refusing(lines);
    assert.equal(await on.ask(), undefined);
    const [session, reason, goesElsewhere] = on.answers[0]!;
    assert.deepEqual([session, goesElsewhere], ["s", false]);
    assert.match(reason, expected);
    assert.equal(await on.ask(), undefined);
    assert.equal(on.answers.length, 1);
    on.pass(60_000);
    await on.ask();
    assert.equal(on.answers.length, 2);
  });

test("what another host may do goes to one, if the controller knows what that means; what nobody does, does not", async () => {
  const alive = { "croft-alive-url": "http://x.org/alive" };
  for (const [lines, repository] of [
    ...Object.values(askedFor).map(([one]) => [one, undefined] as const),
    ["", "/srv/h.git#v1"] as const,
  ]) {
    await using on = await refusing(lines, alive, repository);
    await on.ask();
    assert.equal(on.answers[0]?.[2], repository === undefined, lines);
  }
});

test("an agent says that it has no room for auxiliary machines; nothing would mean any", () => {
  const settings = makeSettings({}, ["http://c/"]);
  const text = formatTaskRequest(taskRequest({ settings, signer: undefined, hostName: "host" }, []));
  assert.match(Buffer.from(text).toString(), /^auxiliary-ram: 0$/m);
  assert.equal(parseTaskRequest(text).auxiliaryRamKiB, 0);
});
