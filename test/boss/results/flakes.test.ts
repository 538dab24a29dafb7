import assert from "node:assert/strict";
import { test } from "node:test";
import { likelyFlakes } from "../../../boss/results/flakes.ts";

const recovery = (target: string, message: string, from = 0, to = 1) => ({ target, message, from, to });

test("a failure that goes by itself is a likely flake; one that the source explains, or that several share, is none", () => {
  const chance = [
    recovery("a", "internal compiler error: Segmentation fault"),
    recovery("b", "x.c:1:1: fatal error: asm-offsets.h: No such file or directory"),
    recovery("c", "ld: built-in.o: file truncated"),
  ];
  const explained = [
    recovery("d", "x.c:7:3: error: 'two' undeclared (first use in this function)"),
    recovery("e", "main.c:(.text+0x1): undefined reference to `board_init'"),
    recovery("f", "start.S:12: Error: unknown mnemonic"),
    ...["g", "h"].map((target) => recovery(target, "binman: image overlaps")),
  ];
  assert.deepEqual(likelyFlakes([...chance, ...explained]), chance);
  const apart = [
    recovery("g", "binman: image overlaps", 0, 1),
    recovery("h", "binman: image overlaps", 2, 3),
  ];
  assert.deepEqual(likelyFlakes(apart), apart, "each by itself");
});
