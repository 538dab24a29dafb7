import assert from "node:assert/strict";
import { test } from "node:test";
import { differenceOf, visibleOptions } from "../../../machines/qemu/memory.ts";

/** As command-line.ts makes it, in short. */
function commandLine({
  ram = 262144,
  fd = 9,
  disk = "disk0,file=/dev/fdset/0",
  mode = "save",
} = {}): string[] {
  return [
    ...["setpriv", "--reuid=70001", "--", "qemu-system-x86_64", "-nodefaults", "-name", `guest=m-${fd}`],
    ...["-add-fd", `fd=${fd},set=0,opaque=/a`, "-object", `memory-backend-file,mem-path=/proc/self/fd/${fd}`],
    ...(mode === "save" ? [] : ["-incoming", "defer"]),
    ...["-machine", "q35,memory-backend=ram", "-m", `${ram}k`, "-kernel", `/proc/self/fd/${fd + 1}`],
    ...["-chardev", `socket,id=control,fd=${fd + 2}`, "-drive", `if=none,id=${disk},format=qcow2`],
  ];
}

test("what only the host knows is no difference between two starts", () => {
  const saved = visibleOptions(commandLine());
  const restored = visibleOptions(
    commandLine({ fd: 12, mode: "restore", disk: "disk0,file=/dev/fdset/3,cache=unsafe" }).map((argument) =>
      argument.replace(
        "cache=unsafe,format=qcow2",
        "format=raw,backing.driver=raw,backing.file.filename=/dev/fdset/1",
      ),
    ),
  );
  assert.equal(differenceOf(saved, restored), undefined);
});

test("the cable of a group is the host's, and what is plugged in at its end comes later", () => {
  const cable = ["-netdev", "stream,id=group,server=off,addr.type=fd,addr.str=9"];
  assert.equal(
    differenceOf(visibleOptions(commandLine()), visibleOptions([...commandLine(), ...cable])),
    undefined,
  );
});

test("what the guest sees is", () => {
  const saved = visibleOptions(commandLine());
  assert.equal(
    differenceOf(saved, visibleOptions(commandLine({ ram: 524288 }))),
    "QEMU's option -m was '262144k' and is '524288k'",
  );
  assert.match(differenceOf(saved, [...saved, "-device", "more"]) ?? "", /was '' and is '-device'/);
  assert.match(
    differenceOf(saved, visibleOptions(commandLine({ disk: "disk1,file=/dev/fdset/0" }))) ?? "",
    /disk1/,
  );
});
