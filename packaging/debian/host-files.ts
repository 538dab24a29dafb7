/** What the package `croft` puts on a host beside croft's own directory. */
import { cp, mkdir, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { exampleConfiguration as agentConfiguration, agentUnits } from "../../agent/install.ts";
import { completionScript } from "../../bin/completion.ts";
import { subcommands } from "../../bin/subcommands.ts";
import { controllerUnit, exampleConfiguration as controllerConfiguration } from "../../controller/install.ts";
import { packageFile } from "../../os/files/package.ts";
import { localController, packagedProgram, packagedRoot, packagedUnits } from "../../os/service/packaged.ts";

/** Where croft lies, without the slash before it. */
export const croftDirectory = packagedRoot.slice(1);

/** Where a shell looks for what completes a command. */
const completions = {
  bash: "usr/share/bash-completion/completions/croft",
  zsh: "usr/share/zsh/vendor-completions/_croft",
  fish: "usr/share/fish/vendor_completions.d/croft.fish",
};

/** Adds command, units, configuration, man pages, completions, documents. @returns the files that belong to the operator */
export async function addHostFiles(root: string, copyright: string): Promise<{ conffiles: string[] }> {
  const command = await readFile(packageFile("packaging", "debian", "croft", "command"), "utf8");
  await put(root, packagedProgram, command, 0o755);
  for (const [name, text] of [...agentUnits([packagedProgram]), controllerUnit([packagedProgram])])
    await put(root, join(packagedUnits, name), text);
  const conffiles = ["/etc/croft/agent.yaml", "/etc/croft/controller.yaml"];
  await put(root, conffiles[0]!, agentConfiguration([localController]));
  await put(root, conffiles[1]!, controllerConfiguration);
  for (const [shell, path] of Object.entries(completions))
    await put(root, path, await completionScript(shell, subcommands));
  await movePages(root);
  await documentFiles(root, "croft", { copyright });
  const documents = join(root, "usr/share/doc/croft");
  await cp(join(root, croftDirectory, "README.md"), join(documents, "README.md"));
  await cp(join(root, croftDirectory, "CHANGELOG.md"), join(documents, "CHANGELOG.md"));
  await symlink("../../../lib/croft/docs", join(documents, "manual"));
  await addOverrides(root, "croft");
  return { conffiles };
}

/** What Debian wants to find of a package's documents: its changelog and its license. */
export async function documentFiles(
  root: string,
  name: string,
  { changelog, copyright }: { changelog?: string; copyright?: string },
): Promise<void> {
  const documents = `usr/share/doc/${name}`;
  if (changelog !== undefined) await put(root, `${documents}/changelog.gz`, zipped(changelog));
  if (copyright !== undefined) await put(root, `${documents}/copyright`, copyright);
  if (name !== "croft") await addOverrides(root, name);
}

/** What lintian is told to leave alone, each with the reason. */
async function addOverrides(root: string, name: string): Promise<void> {
  const overrides = await readFile(packageFile("packaging", "debian", name, "lintian-overrides"), "utf8");
  await put(root, `usr/share/lintian/overrides/${name}`, overrides);
}

/** The pages go where man(1) looks. */
async function movePages(root: string): Promise<void> {
  const pages = join(root, croftDirectory, "docs", "man");
  for (const name of await readdir(pages))
    await put(root, `usr/share/man/man1/${name}.gz`, zipped(await readFile(join(pages, name), "utf8")));
  await rm(pages, { recursive: true });
}

/** As `gzip -9n`: neither name nor time in it. */
function zipped(text: string): Buffer {
  return gzipSync(text, { level: 9 });
}

async function put(root: string, path: string, content: string | Buffer, mode = 0o644): Promise<void> {
  const to = join(root, path);
  await mkdir(dirname(to), { recursive: true });
  await writeFile(to, content, { mode });
}
