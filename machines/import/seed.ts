/**
 * What cloud-init finds in an image's first boot (NoCloud): a small disk with the label `cidata`. First a hook that tells at
 * once that cloud-init is there, then what the operator adds, and last the script that makes the machine ready: cloud-init
 * runs scripts in the order of their names.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { UsageFailure } from "../../os/failure.ts";
import { packageFile } from "../../os/files/package.ts";
import { firstLine } from "../../os/text/lines.ts";
import { isoImage } from "./iso-image.ts";

/** The first word of each line that the guest says on its log port. */
export const saying = "croft-import:";

/** By which cloud-init tells what it is given; what has nothing of it, it would pass over. */
const known = /^(#cloud-config|#!|#include|#cloud-boothook|#part-handler|## template: *jinja)/;

/** Says what is wrong with what the operator adds, or undefined. */
function checkUserData(text: string): string | undefined {
  return known.test(firstLine(text))
    ? undefined
    : "its first line is none of those that cloud-init knows, such as #cloud-config";
}

/** Modules that cloud-init runs in most images with the image's own settings, by what they are called in user data. */
const modulesOfImages = ["growpart", "grub.dpkg", "locale", "mounts", "ntp", "resize_?rootfs|resizefs"];

/** What the log has of the failure of a module that the user data say nothing of: a pattern of `grep -E`. */
function passedOver(userData: string): string {
  const modules = modulesOfImages.filter((name) => !new RegExp(name).test(userData));
  return `Running module (${modules.join("|")}) `;
}

const hook = `#cloud-boothook
#!/bin/sh
for port in /sys/class/virtio-ports/*; do
  [ "$(cat "$port/name")" != org.croft.log ] || echo '${saying} begun' > "/dev/\${port##*/}"
done
`;

/**
 * Makes the disk.
 *
 * @param userData what the operator adds, if anything.
 * @param role what the machine is for.
 * @throws {UsageFailure} if cloud-init would pass that over.
 */
export async function seedDisk(userData: string | undefined, role = "build"): Promise<Buffer> {
  const wrong = userData === undefined ? undefined : checkUserData(userData);
  if (wrong !== undefined) throw new UsageFailure("use the user data", wrong);
  const script = await readFile(packageFile("machines", "import", "ready.sh"), "utf8");
  const init = await readFile(packageFile("worker", "guest", "croft-init"), "utf8");
  const parts = [
    { name: "aa-croft-begun", content: hook },
    ...(userData === undefined ? [] : [{ name: "operator", content: userData }]),
    { name: "zz-croft-ready", content: readyScript(script, init, { userData, role }) },
  ];
  const metaData = `instance-id: croft-${randomUUID()}\nlocal-hostname: build\n`;
  return isoImage("cidata", [
    { name: "meta-data", content: Buffer.from(metaData) },
    { name: "user-data", content: Buffer.from(multipart(parts)) },
  ]);
}

/** The script, with what it installs at its end. */
function readyScript(
  script: string,
  init: string,
  { userData, role }: { userData: string | undefined; role: string },
): string {
  const end = `croft-init-${randomUUID()}`;
  return script
    .replace("@saying@", saying)
    .replace("@user-data@", userData === undefined ? "no" : "yes")
    .replace("@passed-over@", () => passedOver(userData ?? ""))
    .replace("@role@", role)
    .replace(/@croft-init@$/m, () => `<< '${end}'\n${init.trimEnd()}\n${end}`);
}

/** Of the type text/plain, so that cloud-init looks at the first line (MIME, RFC 2046). */
function multipart(parts: readonly { name: string; content: string }[]): string {
  const boundary = `croft-${randomUUID()}`;
  const body = parts.map(({ name, content }) => {
    const lines =
      Buffer.from(content)
        .toString("base64")
        .match(/.{1,76}/g) ?? [];
    return [
      `--${boundary}`,
      'Content-Type: text/plain; charset="utf-8"',
      "Content-Transfer-Encoding: base64",
      `Content-Disposition: attachment; filename="${name}"`,
      "",
      ...lines,
      "",
    ].join("\n");
  });
  return [
    `Content-Type: multipart/mixed; boundary="${boundary}"`,
    "MIME-Version: 1.0",
    "",
    ...body,
    `--${boundary}--`,
    "",
  ].join("\n");
}
