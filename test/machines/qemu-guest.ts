/** Guests for the tests of machines/qemu: the minimal image with a first process that runs a given script. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { silentLog } from "../../host/log.ts";
import { temporaryDirectory } from "../../host/temporary.ts";
import { startVirtualMachine } from "../../machines/qemu/start.ts";
import type { StartOptions, VirtualMachine } from "../../machines/virtual-machine.ts";
import { copyMachine, minimalMachineWith } from "../fixtures/images.ts";

const firstProcess = join(import.meta.dirname, "qemu-guest-init");

export interface Guest extends AsyncDisposable {
  readonly machine: VirtualMachine;
  readonly runtimeDirectory: string;
  /** What came from the log port so far; the function passed is called for what follows. */
  readonly log: () => string;
  /** Waits until a text has come from the log port. */
  untilLogged(text: string, timeoutSeconds?: number): Promise<void>;
}

/** What {@link startGuest} starts with; anything may be overridden. */
export async function guestOptions(directory: string, script: string): Promise<StartOptions> {
  const snapshot = join(directory, "snapshot");
  const runtimeDirectory = join(directory, "run");
  await mkdir(runtimeDirectory);
  await copyMachine(await minimalMachineWith(firstProcess), snapshot);
  // The second disk carries the script; sectors are 512 bytes.
  await writeFile(join(snapshot, "disk2.img"), Buffer.from(script.padEnd(4096, "\n")));
  return {
    ...{ name: "test,guest", directory: snapshot, runtimeDirectory, mac: "52:54:00:0a:0b:0c" },
    machine: { id: "guest-1", name: "guest", summary: "a guest", type: "kvm" },
    ...{ network: { kind: "user", tftpPort: 23999 }, cpus: 1, ramKiB: 256 * 1024, accel: "auto" },
    log: silentLog(),
  };
}

/** Starts a guest whose first process runs the script (POSIX shell, busybox; `$log` is the log port's device). */
export async function startGuest(script: string, more: Partial<StartOptions> = {}): Promise<Guest> {
  await using undo = new AsyncDisposableStack();
  const directory = undo.use(await temporaryDirectory("croft-test-qemu-"));
  const options = await guestOptions(directory.path, script);
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
  const untilLogged = async (wanted: string, timeoutSeconds = 60) => {
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
