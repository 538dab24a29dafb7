/**
 * Which commands each build system means. All sources lie in one: its `.croft/update` lets the worker perform the operations
 * of each, in one guest, as a guest takes longer than they do. The tools are fakes that tell how they are called.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logOf, runGuest } from "./guest.ts";
import { packSource, script, serveSources } from "./sources.ts";

/** What a fake does besides. */
const doings: Record<string, string[]> = {
  python3: [
    'case $* in *" wheel "*) mkdir -p "$7" && : > "$7/x-1-py3-none-any.whl" ;;',
    // Requirements are met, there is pytest, and it finds tests.
    "-c*tomllib* | -c*pytest* | *--collect-only* | *--version | *--target*) exit 0 ;; esac",
  ],
  mvn: ["mkdir -p target && : > target/x.jar"],
  gradle: ["mkdir -p build/libs && : > build/libs/y.jar"],
  rake: ['[ "$1" != -P ] || { echo rake spec; exit; }'],
  gem: [': > "$4"'],
  zig: ['[ "$2" != --list-steps ] || { echo "  test   Run the tests"; exit; }'],
  bazelisk: ['[ "$1" != query ] || { echo //:test; exit; }'],
  R: ["[ $2 != build ] || : > x_1.tar.gz"],
  "dpkg-buildpackage": [": > ../x_1_all.deb"],
  // Real ones warn of a directory that is not in PATH, and leave lists.
  cargo: [
    '[ "$1" != install ] || { mkdir -p "$5/bin"; : > "$5/.crates.toml"; : > "$5/bin/x"; }',
    '[ "$1" != install ] || case $PATH: in *":$5/bin:"*) ;; *) echo "warning: be sure to add it to your PATH" ;; esac',
  ],
  ...Object.fromEntries(
    "perl make dotnet cabal ghc dpkg-checkbuilddeps".split(" ").map((name) => [name, []]),
  ),
};
const tools = Object.fromEntries(
  Object.entries(doings).map(([name, lines]) => [
    `opt/fakes/${name}`,
    script(...lines, `echo "${name}: $*"`),
  ]),
);

interface Known {
  source: Record<string, string>;
  /** What is said for configure, update, test and install; "" if the system has no such operation. */
  said: readonly [string, string, string, string];
  /** Artifacts and installed files. */
  made?: string;
  /** What a machine that has nothing lacks; `said` tells what each system needs. */
  lacks: string;
}

const args = "-DA=b c -DD";
const systems: Record<string, Known> = {
  pyproject: {
    source: { "pyproject.toml": "[project]\n", "tests/test_x.py": "", Makefile: "" },
    said: [
      "",
      `python3: -m pip wheel --no-build-isolation --no-deps --wheel-dir WORK/build/wheels ${args} .`,
      "python3: -m pytest",
      "+ cp WORK/build/wheels/x-1-py3-none-any.whl WORK/upload/artifact/",
    ],
    made: "upload/artifact/x-1-py3-none-any.whl",
    lacks: "python3",
  },
  "setup-py": {
    source: { "setup.py": "" },
    said: ["", "--wheel-dir WORK/build/wheels", "python3: -m pytest", "+ cp"],
    made: "upload/artifact/x-1-py3-none-any.whl",
    lacks: "python3",
  },
  "pyproject-of-tools": {
    source: { "pyproject.toml": "[tool.black]\n", Makefile: "" },
    said: ["", `make: -j N ${args}`, "make: check", "make: install DESTDIR=WORK/stage"],
    lacks: "make",
  },
  maven: {
    source: { "pom.xml": "", "package.json": "{}", "src/test/java/X.java": "" },
    said: ["", `mvn: -B -ntp -DskipTests package ${args}`, `mvn: -B -ntp test ${args}`, "+ cp target/x.jar"],
    made: "upload/artifact/x.jar",
    lacks: "mvn",
  },
  gradle: {
    source: { "build.gradle.kts": "" },
    said: ["", `gradle: --no-daemon --console=plain ${args} assemble`, "", "+ cp build/libs/y.jar"],
    made: "upload/artifact/y.jar",
    lacks: "gradle",
  },
  "gradle-wrapper": {
    source: { "settings.gradle": "", gradlew: 'echo "wrapper: $*"\n' },
    said: ["", `wrapper: --no-daemon --console=plain ${args} assemble`, "", ""],
    lacks: "",
  },
  dotnet: {
    source: { "two words.sln": "", "t/t.csproj": '<PackageReference Include="Microsoft.NET.Test.Sdk"/>' },
    said: [
      `dotnet: restore two words.sln ${args}`,
      `dotnet: build two words.sln --no-restore -c Release ${args}`,
      `dotnet: test two words.sln --no-build -c Release ${args}`,
      `dotnet: publish two words.sln --no-build -c Release -p:PublishDir=WORK/stage/usr/local/lib/hello/ ${args}`,
    ],
    lacks: "dotnet",
  },
  gem: {
    source: { "x.gemspec": "", Rakefile: "" },
    said: [
      "",
      "gem: build x.gemspec --output WORK/build/x.gem",
      `rake: spec ${args}`,
      "+ cp WORK/build/x.gem",
    ],
    made: "upload/artifact/x.gem",
    lacks: "gem",
  },
  rake: { source: { Rakefile: "" }, said: ["", `rake: ${args}`, "rake: spec", ""], lacks: "rake" },
  zig: {
    source: { "build.zig": "" },
    said: [
      "",
      `zig: build --prefix WORK/build ${args}`,
      `zig: build test ${args}`,
      `zig: build install --prefix WORK/stage/usr/local ${args}`,
    ],
    lacks: "zig",
  },
  bazel: {
    source: { "MODULE.bazel": "" },
    said: ["", `bazelisk: build ${args} //...`, `bazelisk: test --test_output=errors ${args} //...`, ""],
    lacks: "bazel",
  },
  cabal: {
    source: { "x.cabal": "executable x\ntest-suite y\n" },
    said: [
      `cabal: v2-configure --enable-tests ${args}`,
      "cabal: v2-build all",
      "cabal: v2-test all",
      "cabal: v2-install --install-method=copy --installdir=WORK/stage/usr/local/bin exe:all",
    ],
    lacks: "cabal",
  },
  "Makefile.PL": {
    source: { "Makefile.PL": "", Makefile: "" },
    said: [`perl: Makefile.PL ${args}`, "make: -j N", "make: test", "make: install DESTDIR=WORK/stage"],
    lacks: "perl",
  },
  "Build.PL": {
    source: { "Build.PL": "", Build: script('echo "Build: $*"') },
    said: [`perl: Build.PL ${args}`, "Build: ", "Build: test", "Build: install --destdir WORK/stage"],
    lacks: "perl",
  },
  R: {
    source: { DESCRIPTION: "Package: x\n", "tests/x.R": "" },
    said: [
      "",
      `R: CMD build --no-build-vignettes ${args} WORK/source`,
      "R: CMD check --no-manual --ignore-vignettes ./x_1.tar.gz",
      "R: CMD INSTALL --library=WORK/stage/usr/local/lib/R/site-library ./x_1.tar.gz",
    ],
    made: "upload/artifact/x_1.tar.gz",
    lacks: "R",
  },
  debian: {
    source: { "debian/source/format": "3.0 (quilt)\n", "debian/rules": "", "CMakeLists.txt": "" },
    said: ["dpkg-checkbuilddeps:", `dpkg-buildpackage: -b -us -uc ${args}`, "", "+ cp ../x_1_all.deb"],
    made: "upload/artifact/x_1_all.deb",
    lacks: "dpkg-buildpackage",
  },
  "debian-native": {
    source: {
      "debian/rules": "",
      "debian/source/format": "3.0 (native)\n",
      "Cargo.toml": "[package]\n",
      "src/main.rs": "",
    },
    said: ["", `cargo: build --release ${args}`, `cargo: test --release ${args}`, "cargo: install --path ."],
    made: "upload/artifact/hello-1.0-x86_64-linux-gnu.tar.gz stage/usr/local/bin/x",
    lacks: "cargo",
  },
  "own-update": {
    source: { "setup.py": "", ".croft/update": script("echo own") },
    said: ["", "+ .croft/update\nown", "python3: -m pytest", ""],
    lacks: "",
  },
};

/** Sources whose own operations are none, and what is said; `plain` says that they are not executable. */
const mistakes: Record<string, { source: Record<string, string>; said: RegExp }> = {
  "mode-lost": {
    source: { plain: "", ".croft/update": script("true") },
    said: /\.croft\/update is not executable/,
  },
  "mode-lost-of-a-later-one": {
    source: { plain: "", Makefile: "", ".croft/configure": script("true") },
    said: /\.croft\/configure is not executable/,
  },
  windows: { source: { ".croft/update": "#!/bin/sh\r\necho x\r\n" }, said: /carriage return/ },
  directory: { source: { ".croft/update/x": "" }, said: /\.croft\/update is no file/ },
  "only-a-test": { source: { ".croft/test": script("echo tested") }, said: /tested/ },
};

const operations = ["configure", "update", "test", "install"] as const;

/** What the operations of each source print, by `<system> <operation>`, and the files that they leave. */
async function perform(fakes: boolean): Promise<(of: string) => string | undefined> {
  await using sources = await serveSources();
  await packSource(sources, {
    ...Object.fromEntries(
      Object.entries({ ...systems, ...mistakes }).flatMap(([name, { source }]) =>
        Object.entries(source).map(([file, text]) => [`systems/${name}/${file}`, text]),
      ),
    ),
    ".croft/update": script(
      "for system in systems/*; do",
      "  export WORK=/tmp/${system##*/}",
      "  mkdir -p $WORK/build $WORK/upload $WORK/stage && cp -r $system $WORK/source",
      "  [ ! -e $WORK/source/plain ] || chmod -x $WORK/source/.croft/*",
      `  for operation in ${operations.join(" ")}; do`,
      '    printf "<%s %s>" ${system##*/} $operation',
      "    /usr/lib/croft/croft-worker operation $operation 7> /dev/null 2>&1 || { echo failed && break; }",
      '    [ ! -e /run/croft/absent ] || { rm /run/croft/absent; printf "absent"; }',
      "  done",
      '  printf "<%s made>" ${system##*/}',
      '  (cd $WORK && find upload stage -type f | tr "\\n" " ")',
      "done",
    ),
  });
  const { result } = await runGuest({
    shell: "busybox",
    files: {
      ...tools,
      "etc/croft/worker.conf": "work=${WORK:-$work}",
      "etc/croft/environments/default": script("shift", 'PATH=/opt/fakes:$PATH exec "$@"'),
    },
    ...(!fakes && { setup: "rm -r /opt/fakes" }),
    ...{ diskMiB: 160 },
    task: {
      version: "1.0",
      "repository-url": sources.url,
      "target-config": '-DA="b c"',
      "package-config": "-DD",
    },
  });
  const log = logOf(result, "update");
  return (of) => {
    const [, said] = new RegExp(`<${of}>([^<]*)`).exec(log) ?? [];
    const work = `/tmp/${of.split(" ")[0]!}/`;
    return said?.replaceAll(work, "WORK/").replace(/(?<=-j )\d+/g, "N");
  };
}

test("each known system is built with its own commands, and what it makes is delivered", async () => {
  const said = await perform(true);
  for (const [name, { said: wanted, made }] of Object.entries(systems)) {
    for (const [index, operation] of operations.entries()) {
      const log = said(`${name} ${operation}`) ?? "";
      const expected = wanted[index]!;
      if (expected === "") assert.equal(log, "absent", `${name} ${operation}`);
      else assert.ok(log.includes(expected), `${name} ${operation}: ${log}`);
      assert.doesNotMatch(log, /warning/, name);
    }
    assert.equal(said(`${name} made`)?.trim(), made ?? "", name);
  }
});

test("what a machine lacks for a known system is named, unless the source says itself how it is built", async () => {
  const said = await perform(false);
  for (const [name, { lacks }] of Object.entries(systems)) {
    const log = operations.map((operation) => said(`${name} ${operation}`)).join("");
    if (lacks === "") assert.doesNotMatch(log, /has no program/, name);
    else assert.match(log, new RegExp(`no program '${lacks}'\n[^]*\\.croft/update[^]*\nfailed\n`), name);
  }
  for (const [name, { said: wanted }] of Object.entries(mistakes))
    assert.match(operations.map((operation) => said(`${name} ${operation}`) ?? "").join(""), wanted);
});
