import assert from "node:assert/strict";
import { test } from "node:test";
import { firstError } from "../../../boss/results/first-error.ts";
import { hostFaultIn, hostFaultOf } from "../../../worker/host-fault.ts";

test("the reason of a failure is told, not make's last words", () => {
  const makes =
    "make[1]: *** [scripts/kconfig/Makefile:48: syncconfig] Error 127\nmake: *** [Makefile:615: x] Error 2\n";
  for (const [said, reason] of [
    ["sh: 1: bison: not found\n", "sh: 1: bison: not found"],
    ["/bin/sh: line 1: flex: command not found\n", "/bin/sh: line 1: flex: command not found"],
    ["a.c:1: warning: 'error' is odd\nb.c:2:1: error: no\n", "b.c:2:1: error: no"],
    [
      "make: *** No rule to make target 'x', needed by 'y'.  Stop.\n",
      "make: *** No rule to make target 'x', needed by 'y'.  Stop.",
    ],
    ["sh: 1: dtc: not found\nx.dtb: error: no such thing\n", "sh: 1: dtc: not found"],
    ["x.c:1: error: no\nsh: 1: dtc: not found\n", "x.c:1: error: no"],
    ["only odd words\n", "only odd words"],
    ["", "make[1]: *** [scripts/kconfig/Makefile:48: syncconfig] Error 127"],
  ])
    assert.equal(firstError(said + makes), reason);
  assert.equal(firstError(""), undefined);
});

test("what is the host's fault is told from the source's", () => {
  for (const line of [
    "gcc: fatal error: Killed signal terminated program cc1",
    "collect2: fatal error: ld terminated with signal 9 [Killed]",
    "g++: internal compiler error: Killed (program cc1plus)",
    "make[2]: *** [Makefile:3: x.o] Killed",
    "cc1: out of memory allocating 65536 bytes after a total of 1 bytes",
    "sh: 1: bison: not found",
    "/bin/sh: line 3: python3: command not found",
    "./scripts/check.sh: 12: swig: not found",
    "make: gcc-12: No such file or directory",
    "/usr/bin/env: ‘python3’: No such file or directory",
    "env: 'perl': No such file or directory",
    "ld: x.o: Input/output error",
  ])
    assert.equal(hostFaultIn(`CC x.o\n${line}\nmake: *** [x] Error 1\n`), line);
  for (const line of [
    "x.c:1:10: fatal error: y.h: No such file or directory",
    "sh: 1: ./tools/own: not found",
    "make: *** x/Makefile: No such file or directory.  Stop.",
    "Makefile:3: x.mk: No such file or directory",
    "x.c:3: error: 'Killed' undeclared",
    'x.c:4: note: "sh: 1: bison: not found" is what it says',
  ])
    assert.equal(hostFaultIn(`${line}\n`), undefined, line);
  assert.equal(hostFaultOf({ return_code: 0, stderr: "sh: 1: bison: not found\n" }), undefined);
  assert.equal(hostFaultOf({ return_code: 10, stderr: "no compiler\n" }), "no compiler");
});
