/** Completion in the shells themselves. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { completionScript } from "../../bin/completion.ts";
import { subcommands } from "../../bin/subcommands.ts";
import { packageFile } from "../../os/files/package.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../os/files/temporary.ts";
import { run } from "../../os/run.ts";
import { patienceSeconds } from "../fixtures/patience.ts";

let directory: TemporaryDirectory;
before(async () => {
  directory = await temporaryDirectory("croft-test-completion-");
  for (const shell of ["bash", "zsh", "fish"])
    await writeFile(join(directory.path, shell), await completionScript(shell, subcommands));
  await mkdir(join(directory.path, "place", "a directory"), { recursive: true });
  await writeFile(join(directory.path, "place", "a file"), "");
});
after(() => directory[Symbol.asyncDispose]());

/** A line as far as it was typed -> what may stand in place of its last word, of many at least this. */
const lines: [line: string, words: string[]][] = [
  ["croft mac", ["machine"]],
  ["croft he", ["help"]],
  ["croft help man", ["manifest"]],
  ["croft machine cr", ["create"]],
  ["croft machine create --inc", ["--include", "--include-file"]],
  ["croft machine create --include make --stor", ["--storage"]],
  ["croft agent ", ["cache", "install", "key", "rejected"]],
  ["croft agent rejected s", ["send", "show"]],
  ["croft agent --net", ["--network"]],
  ["croft agent --network ", ["bridge", "user"]],
  ["croft --verb", []],
  ["croft manifest check --type task-re", ["task-request", "task-response"]],
  ["croft completion ", ["bash", "fish", "zsh"]],
  ["croft boss build --count ", []],
];

/** The same for files; shells mark directories in ways of their own. */
const places: [line: string, words: string[]][] = [
  ["croft manifest check a", ["a directory", "a file"]],
  ["croft agent --config a", ["a directory", "a file"]],
  ["croft machine list --machines a", ["a directory"]],
];

async function shell(...argv: string[]): Promise<string> {
  const env = { ...process.env, HOME: directory.path, TERM: "dumb" };
  const options = { timeoutSeconds: patienceSeconds, cwd: join(directory.path, "place"), env };
  return (await run(argv, options)).stdout;
}

const tidied = (output: string) =>
  output
    .split("\n")
    .map((line) => line.replace(/\t.*/, "").replace(/\/$/, "").replaceAll("\\ ", " "))
    .filter((line) => line !== "")
    .sort();

/** What a shell offers for each line; its script prints `==` after each. */
async function offered(typed: readonly string[], ...argv: string[]): Promise<string[]> {
  const parts = (await shell(...argv, ...typed)).split(/^==\n/m);
  assert.equal(parts.pop(), "");
  return parts;
}

const all = [...lines, ...places];
const typedLines = all.map(([line]) => line);

test("bash completes commands, options, their values and files", async () => {
  const script = `source "$1"; shift
compopt() { :; }
for line; do
  IFS=' ' read -ra COMP_WORDS <<<"\${line//=/ = }"; [[ $line == *' ' ]] && COMP_WORDS+=('')
  COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); COMPREPLY=()
  _croft; printf '%s\\n' "\${COMPREPLY[@]}" ==
done`;
  const argv = ["bash", "-c", script, "bash", join(directory.path, "bash")];
  const got = await offered([...typedLines, "croft agent --network=b"], ...argv);
  for (const [index, [line, words]] of all.entries()) assert.deepEqual(tidied(got[index]!), words, line);
  assert.deepEqual(tidied(got.at(-1)!), ["bridge"]);
});

test("fish completes them, and says what each is", async () => {
  const script = `source ${join(directory.path, "fish")}; for line in $argv; complete -C $line; echo ==; end`;
  const typed = [...typedLines, "croft machine cr", "croft agent --network=b"];
  const got = await offered(typed, "fish", "--no-config", "-c", script);
  for (const [index, [line, words]] of all.entries()) assert.deepEqual(tidied(got[index]!), words, line);
  assert.match(got.at(-2)!, /^create\tmake/);
  assert.match(got.at(-1)!, /^--network=bridge\t/m);
});

test("zsh completes them", async () => {
  // A shell on a terminal of its own; Ctrl-X prints the line as it stands.
  const script = `zmodload zsh/zpty
zpty shell 'TERM=dumb zsh -f -i'
zpty -w shell 'PS1= PS2= RPS1=; unsetopt beep prompt_cr prompt_sp; autoload -Uz compinit; compinit -u -D'
zpty -w shell "source $1; show() { print -r -- \\"<<\\$BUFFER>>\\"; BUFFER= }; zle -N show; bindkey '^X' show; print ready'<<'; cd $PWD"
zpty -r shell said '*ready<<*'
shift
for line; do
  zpty -n -w shell "$line"$'\\t\\x18'
  zpty -r shell said '*<<*>>*'
  print -r -- "\${\${said##*<<}%%>>*}"
done
zpty -d shell`;
  // What remains in the line: one word whole, of several what they have in common.
  const typed = all.filter(([, words]) => words.length > 0);
  const expected = typed.map(([line, words]) => {
    const before = line.slice(0, line.lastIndexOf(" ") + 1);
    const common = words.reduce((one, other) =>
      one.slice(0, [...one].findIndex((c, i) => c !== other[i]) >>> 0),
    );
    return before + (words.length === 1 ? words[0]! : common);
  });
  const output = await shell(
    "zsh",
    "-f",
    "-c",
    script,
    "zsh",
    join(directory.path, "zsh"),
    ...typed.map(([line]) => line),
  );
  const got = output
    .split("\n")
    .slice(0, -1)
    .map((line) => line.replaceAll("\\ ", " ").replace(/[ /=]*$/, ""));
  assert.deepEqual(
    got,
    expected.map((line) => line.trimEnd()),
  );
});

test("'croft completion' prints it, and knows no other shell", async () => {
  const croft = [process.execPath, packageFile("bin", "croft.js"), "completion"];
  assert.equal(await shell(...croft, "bash"), await completionScript("bash", subcommands));
  const { stderr } = await run([...croft, "csh"], { timeoutSeconds: patienceSeconds, accept: [2] });
  assert.match(stderr, /Allowed choices are bash, zsh, fish/);
});
