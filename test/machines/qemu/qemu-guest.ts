/** Guests for tests: an image whose first process is a shell that runs a given script. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { makeRuntimeDirectory } from "../../../machines/runtime-directory.ts";
import { commandLine, fileDescriptor } from "../../../machines/qemu/command-line.ts";
import { InheritedFiles } from "../../../machines/qemu/inherited-files.ts";
import { SocketDirectory } from "../../../machines/qemu/socket-directory.ts";
import { startVirtualMachine } from "../../../machines/qemu/start.ts";
import type { StartOptions, VirtualMachine } from "../../../machines/virtual-machine.ts";
import { copyMachine, minimalMachine } from "../../fixtures/machines/images.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";

/** QEMU's command line for a machine that is not started. */
export async function commandLineOf(options: StartOptions): Promise<string[]> {
  using files = new InheritedFiles(fileDescriptor);
  await using directory = await temporaryDirectory("croft-test-qemu-");
  return commandLine(options, files, await SocketDirectory.make(directory.path, options.user, files));
}

/** Whom guests of tests run as. */
export const guestUser = { id: 79_001 };

const prelude = `
exec < /dev/console > /dev/console 2>&1
mount -t tmpfs tmp /tmp
for name in /sys/class/virtio-ports/*/name; do
  [ "$(cat "$name")" != org.croft.log ] || log=/dev/$(basename "$(dirname "$name")")
done
`;
const ending = `
echo "the script has ended"
busybox poweroff -f
`;

/** Boots take 3 s, on a host that has little else to do. */

export interface Guest extends AsyncDisposable {
  readonly machine: VirtualMachine;
  readonly runtimeDirectory: string;
  /** What came from the log port so far; the function passed is called for what follows. */
  readonly log: () => string;
  /** Waits until a text has come from the log port. */
  untilLogged(text: string, timeoutSeconds?: number): Promise<void>;
}

/** What {@link startGuest} starts with; anything may be overridden. */
export async function guestOptions(
  directory: string,
  script: string,
  revision?: string,
  runtimeName = "run",
): Promise<StartOptions> {
  const snapshot = join(directory, "snapshot");
  const runtimeDirectory = join(directory, runtimeName);
  await makeRuntimeDirectory(runtimeDirectory);
  await copyMachine(revision ?? (await minimalMachine()), snapshot);
  // The second disk carries the script; a disk consists of whole sectors.
  const text = `${prelude}${script}${ending}`;
  await writeFile(join(snapshot, "disk2.img"), text.padEnd(Math.ceil(text.length / 4096) * 4096, "\n"));
  const parameters = await readFile(join(snapshot, "cmdline"), "utf8");
  await rm(join(snapshot, "cmdline")); // it may be a link to that of the image
  await writeFile(join(snapshot, "cmdline"), `${parameters} init=/bin/sh -- /dev/vdb`);
  return {
    ...{ name: "test,guest", directory: snapshot, runtimeDirectory, mac: "52:54:00:0a:0b:0c" },
    machine: { id: "guest-1", name: "guest", summary: "a guest", type: "kvm" },
    ...{ network: { kind: "user", tftpPort: 23999 }, cpus: 1, ramKiB: 256 * 1024, accel: "auto" },
    log: silentLog(),
    ...(process.getuid?.() === 0 ? { user: guestUser } : {}),
  };
}

/** Starts a guest whose first process runs the script (POSIX shell, busybox; `$log` is the log port's device). */
export async function startGuest(
  script: string,
  { runtimeName, ...more }: Partial<StartOptions> & { runtimeName?: string } = {},
  revision?: string,
): Promise<Guest> {
  await using undo = new AsyncDisposableStack();
  const directory = undo.use(await temporaryDirectory("croft-test-qemu-"));
  const options = await guestOptions(directory.path, script, revision, runtimeName);
  const waiters = new Set<() => void>();
  let text = "";
  const machine = undo.use(
    await startVirtualMachine({
      ...options,
      onLog: (chunk) => {
        text = (text + chunk.toString("latin1")).slice(-65536);
        for (const waiter of waiters) waiter();
      },
      ...more,
    }),
  );
  const resources = undo.move();
  const untilLogged = async (wanted: string, timeoutSeconds = patienceSeconds) => {
    const seen = Promise.withResolvers<void>();
    const look = () => (text.includes(wanted) ? seen.resolve() : undefined);
    const late = setTimeout(
      () => seen.reject(new Error(`no '${wanted}' in: ${text}\n${machine.describe()}`)),
      timeoutSeconds * 1000,
    );
    waiters.add(look);
    look();
    void machine.ended.then((end) => seen.reject(new Error(`${end.how}: ${end.detail}; log: ${text}`)));
    try {
      await seen.promise;
    } finally {
      clearTimeout(late);
      waiters.delete(look);
    }
  };
  return {
    ...{ machine, runtimeDirectory: options.runtimeDirectory, log: () => text, untilLogged },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
