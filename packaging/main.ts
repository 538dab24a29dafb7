/** `npm run deb`: Debian packages of croft and of the Node.js that it runs on, by Debian's own dpkg-deb. */
import { mkdir } from "node:fs/promises";
import { makeCommand, runCommand } from "../os/command-line/command.ts";
import { addOptions, givenValues, withDefaults, type OptionDeclaration } from "../os/command-line/options.ts";
import { packageFile, packageVersion } from "../os/files/package.ts";
import { temporaryDirectory } from "../os/files/temporary.ts";
import { run } from "../os/run.ts";
import { buildPackages } from "./debian/packages.ts";
import { architectures, type Architecture } from "./debian/recipes.ts";

const options: readonly OptionDeclaration[] = [
  {
    name: "arch",
    kind: "choice",
    value: "ARCH",
    choices: architectures,
    repeat: true,
    defaultWords: "all of them",
    prose: "architecture of the packages, as Debian names it",
  },
  {
    name: "version",
    kind: "string",
    value: "VERSION",
    default: packageVersion,
    prose: "version of the packages",
  },
  {
    name: "tarball",
    kind: "path",
    value: "FILE",
    defaultWords: "made now",
    prose: "what npm has packed of croft",
  },
  {
    name: "output",
    kind: "path",
    value: "DIR",
    default: packageFile(".cache", "deb"),
    prose: "where they go",
  },
  {
    name: "only-croft",
    kind: "flag",
    prose: "leave croft-runtime out, which takes a minute of a processor to compress",
  },
];

const command = makeCommand("npm run deb --", "make Debian packages of croft");
addOptions(command, options);
command.action(async () => {
  const values = withDefaults(givenValues(command, options), options);
  const chosen = values["arch"] as Architecture[];
  const output = values["output"] as string;
  await using work = await temporaryDirectory("croft-deb-");
  const tarball = (values["tarball"] as string | undefined) ?? (await pack(work.path));
  await mkdir(output, { recursive: true });
  const made = await buildPackages({
    tarball,
    output,
    work: work.path,
    version: values["version"] as string,
    architectures: chosen.length > 0 ? chosen : architectures,
    withRuntime: values["only-croft"] !== true,
  });
  for (const path of made) process.stdout.write(`${path}\n`);
});
process.exitCode = await runCommand(command, process.argv.slice(2));

/** Packs this clone, which builds it. @returns the path of the tarball. */
async function pack(directory: string): Promise<string> {
  await run(["npm", "pack", "--pack-destination", directory], { timeoutSeconds: 600, cwd: packageFile() });
  return `${directory}/croft-${packageVersion}.tgz`;
}
