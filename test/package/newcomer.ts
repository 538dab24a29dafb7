/** Somebody who has installed croft, types commands, and expects what the documents say. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { packageVersion } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { abnormalResult } from "../fixtures/abnormal-result.ts";
import { packSource, script, type Sources } from "../worker/sources.ts";
import { declaredCommands } from "./declared-commands.ts";

const anyStatus = Array.from({ length: 256 }, (_, status) => status);
const shownLines = 12;
/** What makes a command do something else than what it is for. */
const isAside = /--(help|print-config|dump-[a-z]+|dry-run|uninstall)\b/;

export interface Expected {
  /** Exit status; any other fails. Null: whatever it is. */
  status?: number | null;
  seconds?: number;
}

/** A shell somewhere. What is typed there, and what came of it, is told line by line. */
export class Newcomer {
  /** Words after `croft` of what was typed and did what was expected. */
  readonly did = new Set<string>();
  /** Exit status of the last line. */
  status = 0;
  readonly #shell: readonly string[];
  readonly #tell: (text: string) => void;
  readonly #env: NodeJS.ProcessEnv | undefined;

  constructor(shell: readonly string[], tell: (text: string) => void, env?: NodeJS.ProcessEnv) {
    this.#shell = shell;
    this.#tell = tell;
    this.#env = env;
  }

  /** Types a line, and returns what it prints, both streams together as they came. */
  async types(line: string, { status = 0, seconds = 600 }: Expected = {}): Promise<string> {
    const began = Date.now();
    const result = await run([...this.#shell, `{ ${line}\n} 2>&1`], {
      ...{ timeoutSeconds: seconds, accept: anyStatus },
      ...(this.#env && { env: this.#env }),
    });
    const said = result.stdout;
    this.status = result.status;
    const lines = said.trimEnd().split("\n");
    const shown = lines.length > shownLines ? ["…", ...lines.slice(-shownLines)] : lines;
    this.#tell(`$ ${line}\n${shown.map((text) => `    ${text.slice(0, 200)}\n`).join("")}`);
    this.#tell(`  → ${result.status} (${Math.round((Date.now() - began) / 1000)} s)\n`);
    if (status !== null) assert.equal(result.status, status, `${line}\n${said}`);
    if (status !== null && !isAside.test(line))
      for (const [words] of line.matchAll(/\bcroft( [a-z]+)+/g)) this.did.add(words);
    return said;
  }

  /** @throws {AssertionError} if there is a command whose main path was not gone, and which is not gone elsewhere. */
  async assertDidEverything(elsewhere: readonly string[] = []): Promise<void> {
    const { working } = await declaredCommands();
    const done = (command: string) => [...this.did].some((did) => `${did} `.startsWith(`${command} `));
    assert.deepEqual(
      working.filter((command) => !done(command)),
      elsewhere,
      "commands without a main path in this test",
    );
  }
}

/** The farm that {@link usesFarm} uses; options as they are typed. */
export interface FarmInUse {
  url: string;
  sources: Sources;
  /** The controller's data directory. */
  data: string;
  /** A minimal machine. */
  machine: string;
  /** `--machines DIR` and `--runtime DIR`, where they are not the usual ones. */
  machines?: string;
  runtime?: string;
}

/** Every command that there is explains itself, and is where one looks for it. */
export async function readsHelp(newcomer: Newcomer): Promise<void> {
  const helps = new Map([["croft", await newcomer.types("croft --help")]]);
  for (const command of (await declaredCommands()).all) {
    const [, group, name] = /^(.*) ([a-z]+)$/.exec(command)!;
    assert.match(helps.get(group!)!, new RegExp(`^  ${name} `, "m"));
    const help = await newcomer.types(`${command} --help`);
    assert.ok(help.startsWith(`Usage: ${command} `), help);
    helps.set(command, help);
  }
}

/** Has a shell complete a command. */
export async function completesCommands(newcomer: Newcomer): Promise<void> {
  const completed = 'COMP_WORDS=(croft machine cr); COMP_CWORD=2; _croft; echo "$COMPREPLY"';
  assert.equal(await newcomer.types(`bash -c 'eval "$(croft completion bash)"; ${completed}'`), "create\n");
}

/** Looks at manifests. */
export async function looksAtManifests(newcomer: Newcomer): Promise<void> {
  assert.match(await newcomer.types("croft --help"), /^Usage: croft COMMAND[^]*\n {2}agent /);
  assert.equal(await newcomer.types("croft --version"), `${packageVersion}\n`);
  const tokens = await newcomer.types(`printf ': 1\\nname: croft\\n' | croft manifest tokens -`);
  assert.deepEqual((JSON.parse(tokens) as { ok: boolean }).ok, true);
  const made = await newcomer.types(`echo '[["","1"],["name","x"]]' | croft manifest serialize -`);
  assert.match(made, /^name: x$/m);
  const wrong = `printf ': 1\\nname: x\\n' | croft manifest check --type task -`;
  assert.match(await newcomer.types(wrong, { status: 1 }), /^<stdin>:1:1: .*is missing$/m);
}

/** Has an image refused that is not all there. */
export async function importsCutImage(newcomer: Newcomer): Promise<void> {
  const cut = `cd "$(mktemp -d)" && printf 'QFI\\373' > cut.qcow2`;
  const cleared = `status=$?; rm -r "$PWD"; exit $status`;
  const refused = await newcomer.types(`${cut} && croft machine import cut cut.qcow2; ${cleared}`, {
    status: 1,
  });
  assert.match(refused, /Cannot import image 'cut\.qcow2': it is truncated/);
}

/** Copies a machine to a host that is this one, by an ssh that does but call it. */
export async function copiesMachine(newcomer: Newcomer, name: string, machines = ""): Promise<void> {
  const other = await newcomer.types("mktemp -d");
  const there = other.trim();
  const ssh = '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nexec sh -c "$3"\n';
  await newcomer.types(`printf '${ssh}' > ${there}/ssh && chmod 755 ${there}/ssh`);
  const copy = `PATH=${there}:$PATH croft machine copy ${name} other --to-machines ${there}/m ${machines}`;
  assert.match(
    await newcomer.types(copy),
    new RegExp(`^other:${there}/m/default/${name}/${name}-1\\.1$`, "m"),
  );
  assert.match(await newcomer.types(copy), /it was there already/);
  // What it calls over there is of no use to people.
  const silent = await newcomer.types(`croft machine receive --machines ${there}/m < /dev/null`, {
    status: 1,
  });
  assert.match(silent, /Cannot receive a machine: of the other end: it ended before its time/);
  newcomer.did.add("croft machine receive");
  await newcomer.types(`rm -r ${there}`);
}

/** Builds in a machine, looks at results, and at a machine that misbehaves. */
export async function usesFarm(newcomer: Newcomer, farm: FarmInUse): Promise<void> {
  const at = `--controller ${farm.url}`;
  const submit = await buildsFine(newcomer, farm);
  assert.match(await newcomer.types(`croft builds ${at}`), /\bfine\b.*success/);
  assert.match(await newcomer.types(`croft log ${at} 1`), /^fine$/m);
  await takesArtifacts(newcomer, farm.url);
  await makesTokens(newcomer, farm);
  assert.equal(await newcomer.types(`croft pin ${at} 1`), "build 1: pinned\n");
  const pruned = await newcomer.types(`croft controller prune --days 1 --data ${farm.data}`);
  assert.match(pruned, /^ {2}builds +0 /m);
  await keepsData(newcomer, farm);
  await looksAfterFarm(newcomer, farm);
  await newcomer.types(`croft rebuild ${at} 1`);
  await newcomer.types(`croft cancel ${at} 2`);
  await newcomer.types(`croft log ${at} --follow 2`, { status: 3 });
  assert.match(await newcomer.types(`croft builds ${at} --state cancelled`), /^2 /m);
  await holdsMachine(newcomer, farm, submit);
}

/** Builds a source. @returns the command for it, without `--follow` or `--wait`. */
export async function buildsFine(
  newcomer: Newcomer,
  { url, sources }: Pick<FarmInUse, "url" | "sources">,
): Promise<string> {
  const install = script('mkdir -p "$DESTDIR/usr" && echo done > "$DESTDIR/usr/greeting"');
  const source = { ".croft/update": script("echo fine"), ".croft/install": install };
  await packSource(sources, source, "fine-1.0.tar.gz");
  const repository = `${sources.url.replace("127.0.0.1", "10.0.2.2")}/`;
  const submit = `croft submit --controller ${url} --repository ${repository} --name fine --version 1.0 --type pkg`;
  assert.match(await newcomer.types(`${submit} --follow`), /^==> update: success/m);
  newcomer.did.add("croft controller").add("croft agent"); // whose work this was
  return submit;
}

/** What the first build has made. */
async function takesArtifacts(newcomer: Newcomer, url: string): Promise<void> {
  assert.match(await newcomer.types(`croft show --controller ${url} 1`), /^ {2}state +finished: success$/m);
  const fetch = `croft artifacts --controller ${url} 1 --download .`;
  const fetched = await newcomer.types(`cd "$(mktemp -d)" && ${fetch} && sha256sum *.tar.gz && rm -r "$PWD"`);
  const [, digest] = /\.tar\.gz .* ([0-9a-f]{64})$/m.exec(fetched)!;
  assert.match(fetched, new RegExp(`^${digest} `, "m"));
}

/** While there is a token, nobody changes anything without. */
async function makesTokens(newcomer: Newcomer, { url, data }: FarmInUse): Promise<void> {
  const token = (await newcomer.types(`croft token create ann --data ${data}`)).trim();
  assert.match(await newcomer.types(`croft token list --data ${data}`), /^ann {2}submit {2}made /);
  const refused = `croft rebuild --controller ${url} 1`;
  assert.match(await newcomer.types(refused, { status: 1 }), /this needs a token that is known here/);
  assert.match(
    await newcomer.types(`CROFT_TOKEN=${token} croft cancel --controller ${url} 1`, { status: 1 }),
    /Cannot cancel build 1: it is finished/,
  );
  const own = `XDG_CONFIG_HOME=${data}.config`;
  assert.match(
    await newcomer.types(`echo ${token} | ${own} croft login ${url}`),
    /^logged in to .* as ann, role submit; kept in /,
  );
  assert.match(
    await newcomer.types(`${own} croft cancel 1`, { status: 1 }),
    /Cannot cancel build 1: it is finished/,
  );
  assert.match(
    await newcomer.types(`${own} croft watch`, { status: 2 }),
    /Cannot watch the farm: this is no terminal/,
  );
  await newcomer.types(`${own} croft logout; rm -r ${data}.config`);
  await newcomer.types(`croft token revoke ann --data ${data}`);
  await newcomer.types(`echo publish-me-1234 | croft secret set NPM_TOKEN --data ${data}`);
  assert.match(
    await newcomer.types(`croft secret list --data ${data}`),
    /^NPM_TOKEN +all repositories +set /,
  );
  await newcomer.types(
    `echo let-me-in-1234 | croft credential set https://x.org/team --user ann --data ${data}`,
  );
  assert.match(
    await newcomer.types(`croft credential list --data ${data}`),
    /^https:\/\/x\.org\/team +password +ann /,
  );
  await newcomer.types(`croft secret remove NPM_TOKEN --data ${data}`);
  await newcomer.types(`croft credential remove https://x.org/team --data ${data}`);
}

/** A backup, and what is made of it; there is no database server to move to. */
async function keepsData(newcomer: Newcomer, { data }: FarmInUse): Promise<void> {
  const backup = `d="$(mktemp -d)" && croft controller backup "$d/b.tar" --data ${data}`;
  const restored = `${backup} && croft controller restore "$d/b.tar" --data "$d/data" && ls "$d/data" && rm -r "$d"`;
  assert.match(await newcomer.types(restored), /^restored .*: \d+ builds, [^]*^database$/m);
  const refused = await newcomer.types(`croft controller migrate --data ${data}`, { status: 2 });
  assert.match(refused, /Cannot move to a database server: the configuration names none/);
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const revoke = `croft agent key revoke host --data ${data}`; // at once, as the farm's own agent has none
  const added = `printf '%s' '${pem}' | croft agent key add host - --data ${data} && ${revoke}`;
  assert.match(await newcomer.types(added), /^host: [0-9a-f]{64}$/m);
  assert.equal(await newcomer.types(`croft agent key list --data ${data}`), "");
}

/** What the farm does, and holding it back. */
async function looksAfterFarm(newcomer: Newcomer, { url, data }: FarmInUse): Promise<void> {
  assert.match(await newcomer.types(`croft agents --controller ${url}`), /^\S+ +(building|idle|silent) /m);
  assert.match(await newcomer.types(`croft approvals --controller ${url}`), /^nothing waits for approval$/m);
  assert.match(await newcomer.types(`croft deliveries --data ${data}`), /^nothing was sent$/m);
  await newcomer.types(`croft pause target default --reason "for a test" --data ${data}`);
  assert.match(
    await newcomer.types(`croft status --controller ${url}`),
    /^default .*paused \(for a test\)$/m,
  );
  assert.match(
    await newcomer.types(`croft resume target default --data ${data}`),
    /^target default: resumed$/m,
  );
}

/** An abnormal result: the machine is held, looked into, and ended. */
async function holdsMachine(newcomer: Newcomer, farm: FarmInUse, submit: string): Promise<void> {
  const { sources, machine, machines = "", runtime = "" } = farm;
  await packSource(sources, abnormalResult, "broken-1.0.tar.gz");
  const broken = `${submit.replace("--name fine", "--name broken")} --wait`;
  assert.match(await newcomer.types(broken, { seconds: 900, status: 3 }), /abnormal/);
  const list = `croft machine list ${machines} ${runtime}`;
  const held = `i=0; until ${list} | grep "for you"; do sleep 1; i=$((i + 1)); [ $i -lt 120 ] || exit 1; done`;
  assert.match(await newcomer.types(held), /suspended, held for you \(the result is abnormal\)/);
  await newcomer.types(`croft machine resume ${machine} ${runtime}`);
  assert.match(await newcomer.types(list), /resumed, held for you/);
  // Whoever reads the console goes once it has been seen that somebody answers there.
  const typing = `while sleep 2; do printf '\\recho I was $((1 + 1))here\\r' || exit; done`;
  const console = `timeout 300 croft machine console ${machine} ${runtime}`;
  await newcomer.types(`(${typing}) | ${console} | grep --max-count=1 "I was 2here"`);
  assert.match(await newcomer.types(`croft machine kill ${machine} ${runtime}`), /has ended/);
}

/** Builds on the hosts alpha and beta, which ssh knows. */
export async function usesBoss(newcomer: Newcomer, tutorial: string, source: string): Promise<void> {
  await newcomer.types(tutorial);
  const boss = `cd ${source} && croft boss`;
  assert.match(await newcomer.types(`${boss} hosts`), /^beta .* idle$/m);
  assert.match(await newcomer.types(`${boss} toolchains`), /^local +sandbox +cc /m);
  await newcomer.types(`${boss} kill`);
  assert.match(await newcomer.types(`${boss} report`), /Return two/);
  const bisected = await newcomer.types(`${boss} bisect HEAD~1..HEAD debug`);
  assert.match(bisected, /^debug: first bad commit is [0-9a-f]{40} Return two$/m);
  await newcomer.types("croft worker --remote --threads 1 < /dev/null");
}
