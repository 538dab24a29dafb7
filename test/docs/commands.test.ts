/**
 * Whatever a document shows to be typed can be typed: each command of croft is parsed by its own declarations, each
 * configuration is read, and of other programs' commands the parts that are ours are there.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { readBossFile } from "../../boss/planning/configuration.ts";
import { effectiveConfiguration } from "../../agent/settings/effective-configuration.ts";
import { settingsOf } from "../../agent/settings/settings.ts";
import { readWanted } from "../../controller/source-file/check.ts";
import { readControllerConfiguration } from "../../controller/configuration.ts";
import { packageFile, packageVersion } from "../../os/files/package.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { manualPages } from "../../bin/pages.ts";
import { allOptions, troubleWith } from "./croft-command.ts";
import { documents, type Code } from "./documents.ts";
import { commandsOf, typedIn, type ShownCommand } from "./shell.ts";

/** Blocks of the documents, and of the pages of the manual that are made from declarations. */
async function allBlocks(): Promise<Code[]> {
  const pages = await manualPages();
  const ofPages = pages.flatMap(({ name, sections }) =>
    sections.flatMap(({ blocks }) => blocks.map((block) => ({ place: name, block }))),
  );
  return [
    ...documents().flatMap(({ blocks }) => blocks),
    ...ofPages.flatMap(({ place, block }) =>
      typeof block === "object" && "code" in block
        ? [{ place, language: block.language, text: block.code }]
        : [],
    ),
  ];
}

async function shownCommands(): Promise<(ShownCommand & { place: string })[]> {
  const blocks = (await allBlocks()).filter(({ language }) => ["sh", "console"].includes(language));
  return blocks.flatMap(({ place, language, text }) =>
    commandsOf(language === "sh" ? text : typedIn(text)).map((command) => ({ place, ...command })),
  );
}

async function assertNoTrouble(checks: { place: string; text: string; isPart?: boolean }[]): Promise<void> {
  const troubles: string[] = [];
  for (const { place, text, isPart = false } of checks) {
    const trouble = await troubleWith(commandsOf(text)[0]?.words.slice(1) ?? [], { isPart });
    if (trouble !== undefined) troubles.push(`${place}: ${text}: ${trouble}`);
  }
  assert.deepEqual(troubles, []);
}

describe("the documents", () => {
  test("say of each block what it is: what is typed is never taken for something else", async () => {
    for (const { place, language, text } of await allBlocks()) {
      assert.match(language, /^(sh|console|yaml|ini|nginx|text)$/, place);
      if (language === "console") assert.match(text, /^\$ /m, place);
      else assert.doesNotMatch(text, /^\$ /m, place);
      if (language === "sh") assert.doesNotMatch(text, /^(==>|\w+:( |$))/m, place);
    }
  });

  test("show only commands of croft that there are, with options, arguments and values that they take", async () => {
    const commands = (await shownCommands()).filter(({ words }) => /^(bin\/)?croft$/.test(words[0] ?? ""));
    assert.ok(commands.length > 20, `${commands.length}`);
    const troubles: string[] = [];
    for (const { place, words } of commands) {
      const trouble = await troubleWith(words.slice(1));
      if (trouble !== undefined) troubles.push(`${place}: ${words.join(" ")}: ${trouble}`);
    }
    assert.deepEqual(troubles, []);
  });

  test("name in running text, pictures and remarks only commands and options of croft that there are", async () => {
    const spans = documents().flatMap((document) => document.spans);
    const named = spans.filter(({ text }) => /^(bin\/)?croft [a-z-]/.test(text));
    assert.ok(named.length > 50, `${named.length}`);
    const remarks = (await shownCommands()).flatMap(({ place, words, comment }) => [
      ...[...comment.matchAll(/(?<!\/)croft [a-z][^;:,]*/g)].map(([text]) => ({ place, text })),
      ...(words[0] === "croft" && !comment.includes("croft ")
        ? [...comment.matchAll(/--[a-z-]+/g)].map(([option]) => ({
            place,
            text: [...words.filter((word) => !word.startsWith("http")), option].join(" "),
          }))
        : []),
    ]);
    const pictures = (await allBlocks()).filter(({ language }) => language === "text");
    const inPictures = pictures.flatMap(({ place, text }) =>
      [...text.matchAll(/croft(?: --[a-z-]+| [a-z]+(?![^\s,.:;]))+/g)].map((found) => ({
        place,
        text: found[0],
      })),
    );
    assert.ok(inPictures.length > 5, `${inPictures.length}`);
    assert.ok(remarks.length > 2, `${remarks.length}`);
    await assertNoTrouble([...named, ...remarks, ...inPictures].map((one) => ({ ...one, isPart: true })));
  });

  test("name only options that a command of croft has, or another program", async () => {
    const known = await allOptions();
    const others = ["--again", "--keep", "--kill-whom", "--prefix", "--omit"]; // npm's, systemctl's, those of our scripts
    // Decisions tell of options of much else.
    const manual = documents().filter(({ path }) => !path.startsWith("docs/decisions/"));
    for (const { place, text } of manual.flatMap((document) => document.spans)) {
      const option = /^--[a-z][a-z-]*(?=$|[ =])/.exec(text)?.[0];
      if (option === undefined || others.includes(option)) continue;
      assert.ok(known.has(option), `${place}: nothing has the option ${option}`);
    }
  });

  test("show only scripts of npm, services and programs that there are", async () => {
    const { scripts } = JSON.parse(readFileSync(packageFile("package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const programs =
      "apt cat cd chmod cp curl echo git ip ls mkdir nft openssl pg_dump podman sha256sum sleep ssh ssh-keyscan sysctl systemctl tee tr vncviewer";
    for (const { place, words } of await shownCommands()) {
      const [program] = words;
      if (program === undefined || /^(bin\/)?croft$/.test(program)) continue;
      if (program === "npm") assertOfNpm(place, words, scripts);
      else assert.ok(programs.split(" ").includes(program), `${place}: ${words.join(" ")}`);
      if (program === "systemctl") assertUnits(place, words);
    }
    const spans = documents().flatMap((document) => document.spans);
    for (const { place, text } of spans) {
      if (text.startsWith("npm ")) assertOfNpm(place, text.split(" "), scripts);
      if (text.startsWith("systemctl ")) assertUnits(place, commandsOf(text)[0]!.words);
    }
  });

  test("show only what a shell can read", async () => {
    for (const { place, language, text } of await allBlocks()) {
      if (!["sh", "console"].includes(language)) continue;
      const script = language === "sh" ? text : typedIn(text);
      const { status, stderr } = spawnSync("sh", ["-n"], { input: script, encoding: "utf8" });
      assert.equal(status, 0, `${place}: ${stderr}`);
    }
  });

  test("show only configurations that are accepted", async () => {
    await using directory = await temporaryDirectory("croft-test-documents-");
    const blocks = (await allBlocks()).filter(({ language }) => language === "yaml");
    assert.ok(blocks.length > 6, `${blocks.length}`);
    for (const { place, text } of blocks) {
      const path = join(directory.path, "shown.yaml");
      writeFileSync(path, text);
      await assert.doesNotReject(read(place, path), place);
    }
  });
});

/** What the configuration in the manual allows that its `.croft.yaml` asks for. */
const allowedInManual = {
  targets: ["debian-12", "debian-13"],
  notifications: ["team"],
  auxiliary: ["mariadb-*"],
};

async function read(place: string, path: string): Promise<void> {
  const text = readFileSync(path, "utf8");
  if (/^docs\/forges\.md/.test(place) && /^(builds|schedule):/m.test(text)) {
    readWanted(text, allowedInManual); // a source's .croft.yaml
  } else if (
    /^docs\/(controller|forges|notifications|several-controllers|team)\.md/.test(place) ||
    /^targets:\n {2}- name:/.test(text)
  ) {
    // The files that it names are there where it is used.
    const directory = dirname(path);
    for (const [file] of readFileSync(path, "utf8").matchAll(/(?<=\/etc\/croft\/)(?:hello|farm)\.\w+/g))
      writeFileSync(join(directory, file), "0123456789abcdef", { mode: 0o600 });
    writeFileSync(path, readFileSync(path, "utf8").replace(/\/etc\/croft\/(?=hello|farm)/g, `${directory}/`));
    readControllerConfiguration({ config: path });
  } else if (/^(docs\/boss\.md|croft-boss)/.test(place)) await readBossFile(path, ".");
  else settingsOf(effectiveConfiguration({}, [], path), { needsControllers: false });
}

function assertOfNpm(place: string, words: readonly string[], scripts: Record<string, string>): void {
  const [, verb, name] = words;
  if (verb === "run") assert.ok(Object.hasOwn(scripts, name!), `${place}: there is no script ${name}`);
  else if (verb !== undefined) assert.match(verb, /^(test|pack|install|ci)$/, place);
  const tarball = words.find((word) => word.endsWith(".tgz"));
  if (tarball !== undefined) assert.equal(tarball, `./croft-${packageVersion}.tgz`, place);
}

/** Services of ours have a unit; with `@`, one for all instances. */
function assertUnits(place: string, words: readonly string[]): void {
  for (const word of words.filter((each) => each.startsWith("croft-"))) {
    const unit = word.replace(/@[^.]*/, "@");
    const file = /\.(service|target)$/.test(unit) ? unit : `${unit}.service`;
    assert.ok(existsSync(packageFile("systemd", file)), `${place}: there is no ${file}`);
  }
}
