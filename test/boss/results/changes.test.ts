import assert from "node:assert/strict";
import { test } from "node:test";
import { readSymbols, symbolChanges } from "../../../boss/results/changes/functions.ts";
import { readConfiguration, readEnvironment, valueChanges } from "../../../boss/results/changes/values.ts";
import { portableSizes, parseSizes } from "../../../boss/results/sizes.ts";
import { warningFilter } from "../../../boss/results/warning-filter.ts";

test("configurations are read from each kind of file, and their changes told", () => {
  const before = readConfiguration(
    '#define CONFIG_A 1\n#define CONFIG_FLAG\n#define OTHER 2\n# CONFIG_OFF is not set\nCONFIG_B=y\nCONFIG_S="a b"\n',
  );
  assert.deepEqual(Object.fromEntries(before), {
    ...{ CONFIG_A: "1", CONFIG_FLAG: "1", CONFIG_B: "1", CONFIG_S: '"a b"' },
  });
  const after = readConfiguration("CONFIG_A=y\nCONFIG_B=2\nCONFIG_NEW=0x10\nCONFIG_FLAG=y\n");
  assert.deepEqual(valueChanges(before, after), [
    ...["+ CONFIG_NEW=0x10", '- CONFIG_S="a b"', "CONFIG_B: 1 -> 2"],
  ]);
  assert.deepEqual(valueChanges(after, after), []);
});

test("an environment's words end with NUL, and its values may have any characters", () => {
  const before = readEnvironment("bootdelay=2\0bootcmd=run a=b\0\0");
  const after = readEnvironment("bootdelay=2\0bootcmd=run c\n\0");
  assert.equal(before.get("bootcmd"), "run a=b");
  assert.deepEqual(valueChanges(before, after), ["bootcmd: run a=b -> run c\n"]);
});

test("functions that grew, shrank, came and went are told with their sums; parts that compilers split off count as one", () => {
  const before = readSymbols(
    "0000000000000010 T grows\n0000000000000020 t shrinks\n04 b goes\n08 t part.constprop.0\n08 t part.isra.1\n0 U none\n",
  );
  assert.deepEqual(Object.fromEntries(before), { grows: 16, shrinks: 32, goes: 4, "static.part": 16 });
  const after = readSymbols("18 T grows\n1f t shrinks\n40 D comes\n10 t part.constprop.7\n");
  assert.deepEqual(symbolChanges("u-boot", before, after), [
    "u-boot: 1 added, 1 removed, 1 grown, 1 shrunk; +72 -5 bytes",
    ...["+64 comes (new -> 64)", "+8 grows (16 -> 24)", "-1 shrinks (32 -> 31)", "-4 goes (4 -> gone)"],
  ]);
  assert.deepEqual(symbolChanges("u-boot", after, after), []);
});

test("with an image's sections, the line of its sizes has that of .rodata, as buildman's has, and is read back", () => {
  const raw = "  100\t 20\t 3\t 123\t 7b\t/w/0/u-boot\n  10\t 2\t 3\t 15\t f\t/w/0/spl/u-boot-spl\n";
  const sections = "Idx Name Size VMA\n  0 .text 00000010 0\n 11 .rodata       000000af  00000000 2**3\n";
  const text = portableSizes(raw, { "u-boot.objdump": sections });
  assert.match(text, /\tu-boot 000000af\n/);
  assert.match(text, /\tspl\/u-boot-spl\n$/);
  assert.deepEqual([...parseSizes(text).keys()], ["u-boot", "spl/u-boot-spl"]);
  assert.equal(portableSizes(text), text);
});

test("warnings of the device-tree compiler, and of boards to be migrated, are left out only if that is asked for", () => {
  const dtc = "arch/x.dtb: Warning (unit_address_vs_reg): /soc: node has a unit name\n";
  const migration = `${"=".repeat(21)} WARNING ${"=".repeat(22)}\nThis board does not use CONFIG_DM.\n${"=".repeat(52)}\n`;
  const real = "x.c:1:1: warning: unused variable\n";
  assert.equal(warningFilter({ deviceTree: false, migration: false }), undefined);
  assert.equal(warningFilter({ deviceTree: true, migration: false })!(dtc + real), real);
  assert.equal(
    warningFilter({ deviceTree: true, migration: true })!(migration + dtc + real + migration),
    real,
  );
  assert.equal(warningFilter({ deviceTree: false, migration: true })!(dtc + real), dtc + real);
});
