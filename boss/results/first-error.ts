import { hostFaultIn } from "../../worker/host-fault.ts";

/** What make says in the end of what has failed before. */
const lastWords =
  /^(?:g?make|ninja)(?:\[\d+\])?: \*\*\* .*(?:\bError -?\d+(?: \(ignored\))?|Waiting for unfinished jobs.*)$/;

/** In turn: a reason in words; what else complains; make's last words only if there is nothing else. */
const complaints: readonly RegExp[] = [
  /\b(?:error|undefined reference|fatal)\b|No rule to make target/i,
  /: (?:not found|command not found|No such file or directory|Permission denied)\b|\*\*\*/,
];

/** The line of a failed build's standard error that tells why it failed; undefined if there is none at all. */
export function firstError(stderr: string): string | undefined {
  const lines = stderr.split("\n").map((line) => line.trim());
  const telling = lines.filter((line) => line !== "" && !lastWords.test(line));
  const hostFault = hostFaultIn(telling.join("\n"));
  const errors = telling.filter((line) => !/\bwarning:/i.test(line));
  for (const pattern of complaints) {
    const found = errors.find((line) => pattern.test(line));
    // Whichever comes first: a compiler that is not there is the reason of what is missing after it.
    if (found === undefined) continue;
    return hostFault !== undefined && telling.indexOf(hostFault) < telling.indexOf(found) ? hostFault : found;
  }
  return hostFault ?? telling[0] ?? lines.find((line) => line !== "");
}
