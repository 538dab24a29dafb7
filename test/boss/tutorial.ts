/** The commands of the tutorial in docs/boss.md. */
import { readFileSync } from "node:fs";
import { packageFile } from "../../os/files/package.ts";

/** As a script for a shell that knows the hosts alpha and beta. */
export function tutorialScript(): string {
  const text = readFileSync(packageFile("docs", "boss.md"), "utf8");
  const tutorial = text.slice(text.indexOf("## Tutorial"), text.indexOf("## U-Boot and Linux"));
  return [...tutorial.matchAll(/^```console\n(.*?)^```$/gms)]
    .flatMap(([, block]) => commandsOf(block!))
    .join("\n")
    .replace("you@beta.example", "beta");
}

/** The lines after `$ `, with their here-documents. */
function commandsOf(block: string): string[] {
  const commands: string[] = [];
  let inDocument = false;
  for (const line of block.split("\n")) {
    if (line.startsWith("$ ")) {
      commands.push(line.slice(2));
      inDocument = line.includes("<<'END'");
    } else if (inDocument) {
      commands.push(line);
      if (line === "END") inDocument = false;
    }
  }
  return commands;
}
