import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { buildOptions } from "../../../boss/options.ts";
import { makePlan } from "../../../boss/planning/plan.ts";
import { boardsOfFile, linuxBoards, uBootBoards } from "../../../boss/planning/tree-boards.ts";
import { withDefaults } from "../../../os/command-line/options.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { git } from "../../fixtures/source-history.ts";

/** In place of U-Boot's: lists the configurations that it finds, and what Kconfig and a script of the tree say. */
const generator = `import glob, os, subprocess, sys
assert sys.argv[1] == "-R" and not os.path.exists("README")
said = subprocess.run(["scripts/says"], capture_output=True, text=True, check=True).stdout.strip()
with open(sys.argv[2], "w") as out:
    for path in sorted(glob.glob("configs/*_defconfig")):
        if os.path.getsize(path): out.write(f"Active {open('Kconfig').read()} cpu - - {said} {path[8:-10]}\\n")
open(os.path.expanduser("~/.buildman"), "w").close()
sys.exit(2)
`;

async function makeTree(files: Readonly<Record<string, string>>) {
  const directory = await temporaryDirectory("croft-test-boards-");
  const source = join(directory.path, "tree");
  const put = (name: string, text: string) => {
    mkdirSync(join(source, dirname(name)), { recursive: true });
    writeFileSync(join(source, name), text);
    if (text.startsWith("#!")) chmodSync(join(source, name), 0o755);
  };
  for (const [name, text] of Object.entries(files)) put(name, text);
  git(source, ["init", "--quiet"]);
  const commit = () => {
    git(source, ["add", "--all"]);
    git(source, ["commit", "--quiet", "--message=x"]);
    return git(source, ["rev-parse", "HEAD"]).trim();
  };
  const [home, before] = [join(directory.path, "home"), process.env["HOME"]];
  process.env["HOME"] = home;
  const restore = () => {
    process.env["HOME"] = before;
    return directory[Symbol.asyncDispose]();
  };
  return { source, home, put, commit, [Symbol.asyncDispose]: restore };
}

const uBoot = {
  "tools/buildman/main.py": generator,
  "scripts/says": "#!/bin/sh\necho board\n",
  "configs/one_defconfig": "x",
  "configs/two_defconfig": "x",
  Kconfig: "riscv64",
  README: "not for the generator",
};

test("U-Boot's own generator lists the boards of the commit, once for the files that it reads", async () => {
  await using tree = await makeTree(uBoot);
  const said: string[] = [];
  const boardsAt = async (commit: string) => {
    const boards = await uBootBoards({ source: tree.source, commit, say: (text) => said.push(text) });
    return boards?.map(({ target, arch }) => `${target} ${arch}`);
  };
  const first = tree.commit();
  assert.deepEqual(await boardsAt(first), ["one riscv64", "two riscv64"]);
  tree.put("README", "other");
  assert.deepEqual(await boardsAt(tree.commit()), ["one riscv64", "two riscv64"]);
  assert.equal(said.length, 1, "what it does not read is no reason to run it again");
  tree.put("Kconfig", "mips");
  assert.deepEqual(await boardsAt(tree.commit()), ["one mips", "two mips"]);
  assert.deepEqual(await boardsAt(first), ["one riscv64", "two riscv64"]);
  assert.equal(said.length, 2);
});

test("a list that lacks a configuration is refused, and not kept", async () => {
  await using tree = await makeTree({ ...uBoot, "configs/two_defconfig": "" });
  const commit = tree.commit();
  for (const _ of [1, 2])
    await assert.rejects(
      uBootBoards({ source: tree.source, commit }),
      /list the tree's boards: .*1 of 2 were read/,
    );
});

test("configurations of Linux are boards of their architecture; other trees have no list", async () => {
  await using tree = await makeTree({
    "arch/arm64/configs/defconfig": "",
    "arch/arm64/configs/some.config": "",
    "arch/um/configs/x86_64_defconfig": "",
  });
  const query = { source: tree.source, commit: tree.commit() };
  const boards = (await linuxBoards(query))?.map(({ target, arch }) => `${target} ${arch}`);
  assert.deepEqual(boards, ["arm64:defconfig aarch64", "um:x86_64_defconfig sandbox"]);
  assert.equal(await uBootBoards(query), undefined);
});

test("a plan has the boards that terms choose from the tree, or from a list that is given", async () => {
  await using tree = await makeTree(uBoot);
  tree.commit();
  const values = withDefaults({ source: tree.source, recipe: "u-boot", exclude: ["x,tw"] }, buildOptions);
  assert.deepEqual((await makePlan(values, ["riscv64"])).targets, [{ name: "one", arch: "riscv64" }]);
  const list = join(tree.source, "boards.cfg");
  writeFileSync(list, "Active arm cpu - - - three\n");
  const given = { ...values, "board-list": list };
  assert.deepEqual((await makePlan(given, ["arm"])).targets, [{ name: "three", arch: "arm" }]);
  writeFileSync(list, "# none\n");
  await assert.rejects(boardsOfFile(list), /there are none in it/);
});
