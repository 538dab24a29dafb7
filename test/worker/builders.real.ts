import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { logOf, runGuest, shellsOf, statuses } from "./guest.ts";
import { packSource, script, serveSources } from "./sources.ts";

/** Stands for a build tool: prints what it is called with, and does what makes the worker's decisions real. */
const tools: Record<string, string> = {
  cmake: script(
    'echo "cmake: $*"',
    'case $1 in -S) mkdir -p "$4" && echo "file(INSTALL x)" > "$4/cmake_install.cmake"',
    '  echo "CMAKE_PROJECT_VERSION:STATIC=1.5" > "$4/CMakeCache.txt" ;;',
    '-P) mkdir -p "$DESTDIR/usr/local/lib" && echo x > "$DESTDIR/usr/local/lib/x" ;; esac',
  ),
  ctest: script('[ "$1" != -N ] || { echo "Total Tests: 3"; exit; }', 'echo "ctest: $* in $PWD"'),
  meson: script('[ "$4" != --list ] || exit 0', 'echo "meson: $*"'),
  autoreconf: script(
    'echo "autoreconf: $*"',
    `printf '#!/bin/sh\\nPACKAGE_VERSION='"'2.5'"'\\necho "configure: $*"\\n' > configure`,
    "chmod +x configure",
  ),
  make: script(
    '[ "$1" != -n ] || case $2 in check) echo "make: *** No rule to make target \'check\'.  Stop." >&2; exit 2 ;; *) exit 0 ;; esac',
    'echo "make: $*"',
  ),
  cargo: script('echo "cargo: $*"'),
  go: script('[ "$1" != list ] || { echo main; exit; }', 'echo "go: $* ($GOBIN)"'),
  npm: script('echo "npm: $*"'),
};
const files = Object.fromEntries(
  Object.entries(tools).map(([name, text]) => [`usr/local/bin/${name}`, text]),
);

interface Case {
  source: Record<string, string>;
  /** Operation, and what its log must show. */
  expected: Record<string, RegExp>;
  version?: string;
}

const cases: Record<string, Case> = {
  CMake: {
    source: { "CMakeLists.txt": "" },
    expected: {
      configure: /^cmake: -S \. -B \S+ -DCMAKE_BUILD_TYPE=Release -DA=b c -DD$/m,
      update: /^cmake: --build \S+ --parallel \d+$/m,
      test: /^ctest: --output-on-failure in \S+build$/m,
      install: /^cmake: -P \S+cmake_install\.cmake\n[^]*hello-1\.5-/m,
    },
    version: "1.5",
  },
  Meson: {
    source: { "meson.build": "" },
    expected: {
      configure: /^meson: setup \S+ \. -DA=b c -DD$/m,
      update: /^meson: compile -C \S+$/m,
      install: /^meson: install -C \S+$/m,
    },
  },
  Autotools: {
    source: { "configure.ac": "" },
    expected: {
      configure: /^autoreconf: -fi\n[^]*^configure: -DA=b c -DD$/m,
      update: /^make: -j \d+$/m,
      install: /^make: install DESTDIR=\S+stage$/m,
    },
    version: "2.5",
  },
  make: {
    source: { Makefile: "" },
    expected: {
      update: /^make: -j \d+ -DA=b c -DD$/m,
      test: /^make: test -DA=b c -DD$/m,
      install: /^make: install DESTDIR=\S+stage -DA=b c -DD$/m,
    },
  },
  Cargo: {
    source: { "Cargo.toml": '[package]\nname = "x"\nversion = "3.1.4"\n', "src/main.rs": "" },
    expected: {
      update: /^cargo: build --release -DA=b c -DD$/m,
      test: /^cargo: test --release -DA=b c -DD$/m,
      install: /^cargo: install --path \. --root \S+stage\/usr\/local$/m,
    },
    version: "3.1.4",
  },
  Go: {
    source: { "go.mod": "" },
    expected: {
      update: /^go: build -DA=b c -DD \.\/\.\.\. \(\)$/m,
      test: /^go: test -DA=b c -DD \.\/\.\.\. \(\)$/m,
      install: /^go: install -DA=b c -DD \.\/\.\.\. \(\S+stage\/usr\/local\/bin\)$/m,
    },
  },
  npm: {
    source: {
      "package.json":
        '{\n  "name": "x",\n  "version": "4.0.0",\n  "scripts": {\n    "test": "node --test"\n  }\n}\n',
      "package-lock.json": "",
    },
    expected: {
      configure: /^npm: ci$/m,
      test: /^npm: test$/m,
      install: /^npm: pack --pack-destination \S+artifact$/m,
    },
    version: "4.0.0",
  },
  "operations of the source's own before those of its build system": {
    source: { Makefile: "", ".croft/test": script("echo own test") },
    expected: { update: /^make: -j/m, test: /^own test$/m, install: /^make: install/m },
  },
};

describe("what a source is built with", () => {
  for (const [name, { source, expected, version }] of Object.entries(cases))
    for (const shell of name === "CMake" ? shellsOf("busybox", "dash") : shellsOf("busybox"))
      test(`${name} (${shell})`, async () => {
        await using sources = await serveSources();
        await packSource(sources, source);
        const { result } = await runGuest({
          shell,
          files,
          task: {
            "repository-url": `${sources.url}/hello-1.0.tar.gz`,
            "target-config": '-DA="b c"',
            "package-config": "-DD",
          },
        });
        assert.deepEqual(
          statuses(result),
          ["fetch", ...Object.keys(expected)].map((operation) => `${operation} success`),
          JSON.stringify(result.operations, null, 1),
        );
        for (const [operation, log] of Object.entries(expected)) assert.match(logOf(result, operation), log);
        assert.equal(result.version, version ?? "0");
      });
});

test("a source that nobody knows how to build is an error that tells what was looked for", async () => {
  await using sources = await serveSources();
  await packSource(sources, { README: "", ".croft/build": "" });
  const task = { version: "1.0", "repository-url": sources.url };
  const { result } = await runGuest({ shell: "busybox", task });
  assert.equal(result.status, "error");
  assert.deepEqual(statuses(result), ["fetch success", "update error"]);
  const log = logOf(result, "update");
  for (const words of [
    ".croft/update",
    "CMakeLists.txt",
    "debian/rules",
    "It has: .croft .croft/build README",
  ])
    assert.ok(log.includes(words), `${words}: ${log}`);
});
