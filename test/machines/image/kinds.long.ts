/** Machines of each release and architecture, made and booted: what they say of themselves, and compiling */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import {
  hostDebianArchitecture,
  runsHere,
  type DebianArchitecture,
} from "../../../machines/image/architectures.ts";
import { createMachine } from "../../../machines/image/create-machine.ts";
import type { ImageKind } from "../../../machines/image/recipe.ts";
import { openStorage } from "../../../machines/open-storage.ts";
import { architectureOf, qemuFor } from "../../../machines/qemu/architecture.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { silentLog } from "../../../os/log.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";
import { startGuest } from "../qemu/qemu-guest.ts";

const script = "echo made on $(uname -m) > /made\n";

/** What the kernel says to a build, and which QEMU programs are needed. */
const names: Record<DebianArchitecture, { uname: string; qemu: string }> = {
  amd64: { uname: "x86_64", qemu: qemuFor("x86_64") },
  i386: { uname: "i686", qemu: qemuFor("x86_64") },
  arm64: { uname: "aarch64", qemu: qemuFor("aarch64") },
  riscv64: { uname: "riscv64", qemu: qemuFor("riscv64") },
};

const compiling = `
  printf '#include <stdio.h>\\nint main(void) { return printf("%%zu bits\\\\n", 8 * sizeof(void *)) < 0; }\\n' > /tmp/a.c
  gcc -o /tmp/a /tmp/a.c && /tmp/a > $log
`;

for (const [kind, release, architecture] of [
  ["minimal", "trixie", "amd64"],
  ["minimal", "sid", "amd64"],
  ["minimal", "bookworm", "i386"],
  ["minimal", "bookworm", "arm64"],
  ["minimal", "sid", "riscv64"],
  ["debian", "trixie", "amd64"],
  ["debian", "sid", "amd64"],
  ["debian", "bookworm", "i386"],
] as [ImageKind, string, DebianArchitecture][]) {
  const { uname, qemu } = names[architecture];
  const native = runsHere(architecture);
  const skip =
    (hostDebianArchitecture() !== "amd64" && "of a host of amd64") ||
    (spawnSync(qemu, ["--version"]).status !== 0 && `needs ${qemu}`);
  test(
    `a ${kind} machine of ${release} for ${architecture} is made, boots, and says so`,
    { skip },
    async () => {
      await using directory = await temporaryDirectory("croft-test-kinds-");
      await chmod(directory.path, 0o711);
      const revision = await createMachine({
        ...{
          name: "m",
          machines: directory.path,
          onStep: () => {},
          init: packageFile("worker/guest/croft-init"),
        },
        recipe: {
          ...{ kind, release, architecture, include: ["lz4"], summary: "a machine" },
          ...{ diskGiB: kind === "minimal" ? 1 : 8, ...(native && { script }) },
        },
        storage: await openStorage(directory.path, "directory", silentLog()),
      });
      assert.equal(qemuFor(architectureOf(revision!)), qemu);
      const commands = `
      uname -m > $log
      lz4 --version > $log
      ${native ? "cat /made > $log" : ""}
      ${kind === "debian" ? compiling : ""}
      ls /sys/firmware/qemu_fw_cfg/by_name/opt/croft/tftp > $log
      grep -H . /etc/debian_version > $log
    `;
      await using guest = await startGuest(
        commands,
        { ramKiB: 512 * 1024 },
        join(directory.path, "default/m/m-1"),
      );
      assert.equal((await guest.machine.wait(patienceSeconds))?.how, "shutdown", guest.log());
      const said = guest.log();
      assert.ok(said.startsWith(`${uname}\n`), said);
      assert.match(said, /LZ4/);
      assert.match(said, /^raw$/m, "it learns where its agent is");
      if (native) assert.match(said, /made on/);
      if (kind === "debian") assert.match(said, architecture === "i386" ? /^32 bits$/m : /^64 bits$/m);
    },
  );
}
