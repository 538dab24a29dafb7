/** The worker's parts that need neither git nor processes. */
import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { namedFiles } from "../../../worker/remote/diagnostics.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { buildEnvironment, cleanEnvironment } from "../../../worker/remote/environment.ts";
import { JobPool } from "../../../worker/remote/job-pool.ts";
import { BoundedOutput } from "../../../worker/remote/output.ts";
import { fillIn, recipeNames, recipeOf } from "../../../worker/remote/recipes.ts";
import { crossPrefix, expandHome, findToolchain, type Toolchain } from "../../../worker/remote/toolchain.ts";

describe("jobs", () => {
  it("are shared fairly, to the last thread", async () => {
    const pool = new JobPool(8);
    const jobs = [];
    for (let build = 0; build < 3; build++) jobs.push((await pool.take(() => 3)).jobs);
    assert.deepEqual(jobs, [3, 3, 2]);
  });

  it("are waited for rather than exceeded", async () => {
    const pool = new JobPool(4);
    const alone = await pool.take(() => 1);
    assert.equal(alone.jobs, 4);
    let given = 0;
    const waiting = pool.take(() => 2).then((share) => (given = share.jobs));
    await Promise.resolve();
    assert.equal(given, 0);
    alone[Symbol.dispose]();
    alone[Symbol.dispose]();
    await waiting;
    assert.equal(given, 2);
    assert.equal((await pool.take(() => 2)).jobs, 2);
  });

  it("are one at least, and never more in all than there are threads", async () => {
    const pool = new JobPool(3);
    let running = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 40 }, async (_, build) => {
        using share = await pool.take(() => 1 + (build % 5));
        assert.ok(share.jobs >= 1);
        running += share.jobs;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= share.jobs;
      }),
    );
    assert.equal(most, 3);
  });
});

describe("output of a program", () => {
  const text = (limit: number, ...chunks: string[]) => {
    const output = new BoundedOutput(limit);
    for (const chunk of chunks) output.push(Buffer.from(chunk));
    return output.text();
  };

  it("is complete up to the limit, however it comes", () => {
    assert.equal(text(10), "");
    assert.equal(text(10, "0123456789"), "0123456789");
    assert.equal(text(10, "01", "23456", "789"), "0123456789");
  });

  it("is beginning and end beyond it, in whole lines", () => {
    const missing = (count: number) => `[... ${count} bytes left out: more than 20 are not kept ...]\n`;
    assert.equal(text(20, "one\ntwo\nthree\n", "four\nfive\n"), `one\ntwo\n${missing(11)}five\n`);
    assert.equal(text(20, "x".repeat(100)), `${"x".repeat(10)}\n${missing(80)}${"x".repeat(10)}`);
    const lines = Array.from({ length: 100_000 }, (_, n) => `${n}\n`);
    assert.match(text(20, ...lines), /^0\n1\n2\n3\n4\n\[.*\]\n99999\n$/);
  });
});

describe("toolchains", () => {
  it("are known by the prefix of their compiler", () => {
    assert.equal(crossPrefix("/opt/gcc/bin/aarch64-linux-gnu-gcc"), "/opt/gcc/bin/aarch64-linux-gnu-");
    assert.equal(crossPrefix("arm-linux-gnueabi-gcc-12"), "arm-linux-gnueabi-");
    assert.equal(crossPrefix("/opt/riscv64-linux-"), "/opt/riscv64-linux-");
    assert.equal(crossPrefix("/usr/bin/gcc"), "");
    assert.equal(crossPrefix("/opt/a-b/bin/gcc-12"), "");
  });

  it("may be in the home directory", () => {
    assert.equal(expandHome("~/x/y"), join(homedir(), "x/y"));
    assert.equal(expandHome("~"), homedir());
    assert.equal(expandHome("/x/~"), "/x/~");
    assert.equal(expandHome("~user/x"), "~user/x");
  });

  it("are needed for all but the host's own programs, and must be there", async () => {
    assert.deepEqual(await findToolchain("sandbox", {}), { cross: "" });
    assert.deepEqual(await findToolchain(undefined, {}), { cross: "" });
    assert.match((await findToolchain("arm", {})) as string, /no toolchain/);
    assert.match((await findToolchain("__proto__", {})) as string, /no toolchain/);
    assert.match(
      (await findToolchain("arm", { arm: "~/no/such-gcc" })) as string,
      /no compiler '.*\/no\/such-gcc'/,
    );
    assert.deepEqual(await findToolchain("x86", { x86: process.execPath }), { cross: "" });
  });

  it("of clang are told to make as from its command line, which makefiles do not overrule", async () => {
    await using directory = await temporaryDirectory("croft-test-clang-");
    const clang = join(directory.path, "clang-19");
    await symlink(process.execPath, clang);
    const found = await findToolchain("sandbox", { sandbox: clang });
    assert.deepEqual(found, { cross: "", clang });
    await writeFile(join(directory.path, "Makefile"), "CC := gcc\nall: ; @echo $(CC) $(HOSTCC)\n");
    const env = buildEnvironment({}, found as Toolchain);
    const argv = ["make", "-s", "-j2", "-C", directory.path];
    assert.equal((await run(argv, { timeoutSeconds: 60, env })).stdout, `${clang} ${clang}\n`);
  });
});

describe("recipes", () => {
  const values = { out: "o", source: "/s", target: "arm64:a b", jobs: 3, arch: "aarch64", cross: "/x y/a-" };

  it("have values as words of the shell", () => {
    assert.equal(fillIn("make {target} {config}", values), "make 'arm64:a b' 'a b'");
    assert.equal(fillIn("{cross}size -j{jobs} {linux_arch}", values), "'/x y/a-'size -j3 arm64");
    assert.equal(fillIn("${out} {a,b} {} {toString}", values), "${out} {a,b} {} {toString}");
  });

  it("that croft has itself are commands in full", () => {
    for (const recipe of recipeNames) {
      const { build, configure = "", sizes = "" } = recipeOf({ recipe });
      for (const command of [build, configure, sizes])
        assert.doesNotMatch(fillIn(command, values), /[{}]|undefined/);
    }
    assert.match(recipeOf({}).configure!, /^make -s O=\{out\} \{target\}_defconfig$/);
    assert.match(recipeOf({ verbose_build: true }).build, /^make V=1 /);
    assert.match(recipeOf({}).sizes!, /\{out\}\/u-boot \{out\}\/spl\/u-boot-spl /);
    assert.throws(() => recipeOf({ recipe: "toString" }), /Cannot use recipe 'toString'/);
  });
});

describe("surroundings", () => {
  it("of a build have nothing of make, git or languages", () => {
    const own = {
      PATH: "/bin",
      MAKEFLAGS: "-j9",
      GIT_DIR: "/x",
      LC_MESSAGES: "de_DE",
      LANGUAGE: "de",
      HOME: "/h",
    };
    assert.deepEqual(cleanEnvironment(own), { PATH: "/bin", HOME: "/h", LC_ALL: "C.UTF-8", LANG: "C.UTF-8" });
    assert.deepEqual(cleanEnvironment({ LC_ALL: "de_DE.UTF-8", LANG: "de_DE.UTF-8" }), {
      LC_ALL: "C.UTF-8",
      LANG: "C.UTF-8",
    });
    assert.deepEqual(
      cleanEnvironment({ LC_ALL: "C" }),
      { LC_ALL: "C", LANG: "C" },
      "there is no other on the host",
    );
  });

  it("that a compiler names are found in its messages", () => {
    const stderr = [
      "In file included from ../include/a.h:3,",
      "                 from ../cmd/b.c:1:",
      "../cmd/b.c: In function ‘x’:",
      "../cmd/b.c:20:13: warning: unused variable",
      "   20 |         int unused_var;",
      "arch/x.dts:12.3-15: Warning (reg_format)",
      "make: *** [Makefile:189: __sub-make] Error 2",
    ].join("\n");
    assert.deepEqual(namedFiles(stderr), ["../include/a.h", "../cmd/b.c", "arch/x.dts"]);
  });
});
