/**
 * What agents of other makes can read of a task. Their names, versions, URLs and targets are types with a grammar of
 * their own, where ours are text: a task beyond it is an error to them, and its build would come back when its lease is
 * over, again and again.
 *
 * The grammars are those of build2's libbpkg and libbutl; where they are intricate, this takes less rather than more.
 */
import type { RepositoryType } from "./repository.ts";
import type { Task } from "./task.ts";

/** Why other agents cannot read a task; undefined if they can. */
export function portabilityProblem(task: Task): string | undefined {
  return (
    nameProblem(task.name) ??
    versionProblem(task.version) ??
    repositoryProblem(task.repositoryUrl, task.repositoryType) ??
    (isTriplet(task.target) ? undefined : `'${task.target}' is no target triplet`) ??
    regexProblem(task.warningRegex) ??
    (task.variables === undefined ? undefined : "it has variables")
  );
}

/** Names of devices are none of packages, on any system. */
const reservedName = /^(?:build|con|prn|aux|nul|com[1-9]|lpt[1-9])$/;

function nameProblem(name: string): string | undefined {
  if (reservedName.test(name)) return `the name '${name}' is reserved`;
  if (/^[A-Za-z][A-Za-z0-9_+.-]*[A-Za-z0-9+]$/.test(name)) return undefined;
  return `the name '${name}' is not two or more letters, digits and '_', '+', '-', '.', with a letter first`;
}

/** `[+EPOCH-]UPSTREAM[-[RELEASE]][+REVISION]`, upstream and release of components between dots. */
const versionPattern = /^(?:\+(\d+)-)?(\w+(?:\.\w+)*)(-(?:\w+(?:\.\w+)*)?)?(?:\+(\d+))?$/;

function versionProblem(version: string): string | undefined {
  const [, epoch = "1", upstream = "", release, revision] = versionPattern.exec(version) ?? [];
  const components = `${upstream}.${(release ?? "").slice(1)}`.split(".");
  const isOne =
    upstream !== "" &&
    !version.includes("_") &&
    !components.some((component) => /^\d{17,}$/.test(component)) &&
    Number(epoch) <= 0xffff &&
    Number(revision ?? 0) <= 0xffff &&
    !(release === "-" && revision !== undefined);
  if (!isOne) return `'${version}' is no version such as 1.2.3, 1.2.3-rc.1 or +2-1.2.3+4`;
  if (/^[0.]+$/.test(upstream) && (release === undefined || Number(epoch) === 0))
    return `the version '${version}' stands for none`;
  return undefined;
}

/** Ports and hosts as in RFC 3986; a path with `..` may lead out of the server, and is left to us. */
const urlPattern =
  /^(https?|git|ssh):\/\/(?:[^/?#@]*@)?((?:[\w.~!$&'()*+,;=-]|%[\dA-Fa-f]{2})+|\[[\dA-Fa-f:]+\])(?::([1-9]\d{0,4})?)?(\/(?:[\w.~!$&'()*+,;=:@/-]|%[\dA-Fa-f]{2})*)?(?:\?[^#]*)?(?:#(.*))?$/i;

function repositoryProblem(url: string, type: RepositoryType): string | undefined {
  const not = (reason: string) => `the repository ${reason}`;
  const [, scheme = "", host = "", port = "0", path = "", fragment] = urlPattern.exec(url) ?? [];
  if (host === "" || Number(port) > 0xffff)
    return not("has no URL of the kind http, https, git or ssh with a host and a path");
  if (/^\[/.test(host) && !URL.canParse(`http://${host}/`)) return not("has no valid address in its URL");
  const steps = path.split("/").slice(1).map(decoded);
  if (steps.some((step) => /\.\.|\0/.test(step)) || steps.join("/").startsWith("/"))
    return not("has '..' or '//' in the path of its URL");
  if (type === "dir") return not("is a directory"); // of the build host, which agents refuse
  if (type === "git") return fragmentProblem(fragment, not) ?? hostProblem(host, "www|git|scm", not);
  if (/^(?:git|ssh)$/i.test(scheme)) return not("is reached in a way that is git's alone");
  if (fragment !== undefined) return not("is an archive with a fragment in its URL");
  if (Number(steps.findLast((step) => /^\d+$/.test(step)) ?? 0) !== 1)
    return not("is an archive; other agents know repositories of packages, whose paths have a component 1");
  return hostProblem(host, "www|b?pkg", not);
}

function decoded(text: string): string {
  return text.replaceAll(/%([\dA-F]{2})/gi, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)));
}

/** A host's name for a purpose is left out of the repository's, and something must remain. */
function hostProblem(host: string, purposes: string, not: (reason: string) => string): string | undefined {
  return new RegExp(`^(?:${purposes})\\.$`, "i").test(decoded(host)) ? not("has no valid host") : undefined;
}

/** `[NAME][@COMMIT]` or a commit, several with commas between them; the first may follow another `#`. */
function fragmentProblem(fragment: string | undefined, not: (reason: string) => string): string | undefined {
  if (fragment === undefined) return undefined;
  for (const filter of fragment.replace(/^#/, "").split(",")) {
    const [, name = "", commit] = /^[+-]?([^@]*)(?:@(.*))?$/s.exec(filter) ?? [];
    if (name === "" && (commit ?? "") === "") return not("has a fragment without branch, tag or commit");
    if (commit !== undefined && commit !== "" && commit.length !== 40)
      return not("has a commit of fewer than 40 characters");
  }
  return undefined;
}

/** CPU, perhaps a vendor, and a system of one or two parts. */
function isTriplet(target: string): boolean {
  return /^[^-]+(?:-[^-]*)?(?:-[^-]+){1,2}$/.test(target);
}

/** Regular expressions of ECMAScript, without what came to the language later. */
function regexProblem(expressions: readonly string[]): string | undefined {
  const beyond = expressions.find((expression) => !isPlainRegex(expression));
  return beyond === undefined ? undefined : `the regular expression '${beyond}' is not a simple one`;
}

function isPlainRegex(expression: string): boolean {
  const plain = expression
    .replaceAll(/\[:(?:al(?:num|pha)|blank|cntrl|x?digit|graph|lower|p(?:rint|unct)|space|upper):\]/g, "\\w")
    .replaceAll(/\\([!-/:-@[-`{-~])/g, (_, sign: string) => `\\x${sign.charCodeAt(0).toString(16)}`);
  if (/\(\?[^:=!]|\\[kpPucC]|\[[^\]]*\[[:.=]/.test(plain)) return false;
  try {
    return new RegExp(plain, "u") instanceof RegExp;
  } catch {
    return false;
  }
}
